public import RemoteDevice
public import Virtio

/// Everything that a user says about a machine, before any of it exists.
///
/// Plain values; ``MachineConfiguration/validate()`` holds them against what a machine can be.
public struct MachineConfiguration: Equatable, Sendable {
  /// What a virtio device is attached to.
  public enum Transport: String, Sendable, CaseIterable {
    /// A function on the PCI bus (virtio 1.2, 4.1).
    case pci
    /// Registers in memory (virtio 1.2, 4.2).
    case mmio
  }

  /// What happens when the guest resets the machine.
  public enum ResetAction: String, Sendable, CaseIterable {
    /// The run ends.
    case exit
    /// The machine starts again from the beginning, with the same files.
    case restart
  }

  /// Where the bytes of a serial port or console come from and go to.
  public enum Stream: Equatable, Sendable {
    /// Nowhere; nothing comes.
    case none
    /// Our standard input and output.
    case standard
    /// A file that is made or emptied; nothing comes from it.
    case file(String)
    /// A pair of named pipes, with `.in` and `.out` after this path.
    case pipe(String)
    /// A unix socket that we listen on, one client at a time.
    case unix(String)
    /// A character device, both ways.
    case device(String)
  }

  /// The kernel image; empty for a machine that is put back.
  public var kernel: String
  /// How the kernel is entered; `nil` is what its file says.
  public var bootProtocol: BootProtocol?
  /// The initial RAM disk, in parts, or the modules of a Multiboot kernel with their arguments.
  public var initialFiles: [String] = []
  /// What the kernel is told.
  public var commandLine = ""
  /// Virtual processors, 1 to ``processorLimit``.
  public var processorCount = 1
  /// Guest RAM in bytes.
  public var memory: UInt64 = 512 << 20
  /// Whether guest RAM comes from the host's pool of huge pages.
  public var usesHugePages = false
  /// The disks, in order.
  public var disks: [Disk] = []
  /// The network interfaces, in order.
  public var networks: [Network] = []
  /// The sockets between the guest and programs of the host; `nil` for none.
  public var vsock: Vsock?
  /// The memory balloon; `nil` for none.
  public var balloon: Balloon?
  /// The devices that other processes serve, in order.
  public var remotes: [Remote] = []
  /// Which devices have processes of their own.
  public var isolation = Isolation.none
  /// How those reach the guest's memory.
  public var dma = DMAMode.shared
  /// What virtio devices are attached to.
  public var transport = Transport.pci
  /// Whether virtio devices offer packed queues beside split ones; the driver chooses.
  public var offersPackedRings = true
  /// Which threads serve the queues of virtio devices.
  public var queues = QueueOptions()
  /// The first serial port.
  public var serial = Stream.standard
  /// The virtio console; there is none for ``Stream/none``.
  public var console = Stream.none
  /// The ports of the virtio console beside its terminal, in order.
  public var ports: [Port] = []
  /// Whether there is a virtio entropy source.
  public var hasEntropy = true
  /// How many random bytes the guest may take; `nil` is no limit.
  public var entropyRate: RateLimit.Rate?
  /// Whether a write to port 0xF4 ends the process.
  public var hasDebugExit = false
  /// Whether there are the ports of a test device at 0xE0 and 0x2000.
  public var hasTestDevice = false
  /// Where the interrupt controllers are; `nil` is split where KVM can, else in KVM.
  public var interruptMode: InterruptMode?
  /// Whether the state of the interrupt controllers is shown when the guest ends.
  public var dumpsInterrupts = false
  /// Where requests about the machine are answered while it runs; `nil` for nowhere.
  public var controlPath: String?
  /// The file in which the state of the interrupt controllers is kept when the guest ends, if any is.
  public var interruptStatePath: String?
  /// The file in which the whole machine is kept when SIGUSR2 comes, which ends it; `nil` never does.
  public var savePath: String?
  /// The file of a saved machine that goes on; `nil` boots ``kernel``.
  public var restorePath: String?
  /// The file in which all messages with the processes of devices are recorded, if any is.
  public var recordPath: String?
  /// What a reset of the machine does.
  public var onReset = ResetAction.exit

  /// The most virtual processors.
  public static var processorLimit: Int { 64 }

  /// A machine with `kernel` and the defaults.
  public init(kernel: String) { self.kernel = kernel }

  /// Checks what does not need a file or the host.
  ///
  /// - Throws: ``MachineError``, ``DiskError`` or ``NetworkError``, the first that is wrong.
  public func validate() throws {
    guard (1...Self.processorLimit).contains(processorCount) else {
      throw MachineError.processorCount(processorCount)
    }
    try queues.validate()
    if serial == .standard, console == .standard { throw MachineError.standardStreamTaken }
    try validatePorts()
    try validateDisks()
    try validateNetworks()
    try validateVsock()
    try validateBalloon()
    try validateRemotes()
    try validateDMA()
    try validateSaving()
  }
}
