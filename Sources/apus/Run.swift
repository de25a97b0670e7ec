import ArgumentParser
import DeviceKit
import EmulatedHost
import Glibc
import HostOS
import Logging
import Machine
import RemoteDevice

/// `apus run`: boots one guest and waits for its end.
struct Run: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run",
    abstract: "Boot a kernel in a virtual machine and wait until it ends.",
    discussion: RunHelp.discussion
  )

  @Argument(
    help: ArgumentHelp(
      "A Linux bzImage, an ELF vmlinux with a PVH note, or a Multiboot image; none for --restore.",
      valueName: "kernel"
    ),
    completion: .file()
  )
  var kernel: String?

  @Option(
    name: .customLong("initrd"),
    help: ArgumentHelp(
      "The initial RAM disk; repeat, or separate by commas, for more parts. For a Multiboot "
        + "kernel, its modules, each with arguments after a space.",
      valueName: "file"
    )
  )
  var initrd: [String] = []

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("The kernel's command line.", valueName: "text")
  )
  var append = ""

  @Option(
    help: ArgumentHelp(
      "How to enter the kernel: auto, linux, pvh or multiboot.",
      valueName: "protocol"
    )
  )
  var boot = BootOption.auto

  @Option(
    help: ArgumentHelp(
      "Virtual processors, 1 to 64. (default: 1, or what the machine to restore has)",
      valueName: "n"
    )
  )
  var cpus: Int?

  @Option(
    help: ArgumentHelp(
      "Guest memory, such as 512M; K, M, G and T are powers of 1024. "
        + "(default: 512M, or what the machine to restore has)",
      valueName: "size"
    )
  )
  var memory: ByteSize?

  @Flag(help: "Take guest memory from the host's pool of huge pages.")
  var hugepages = false

  @Option(
    name: .customLong("disk"),
    help: ArgumentHelp(
      "A disk: FILE, nbd:unix:SOCKET, an NBD URI or null:SIZE, then any of ,readonly ,direct "
        + ",cache=writethrough ,engine=sync ,reconnect=S ,timeout=S ,queues=N ,serial=TEXT ,id=NAME "
        + ",bps=RATE[/BURST] ,iops=RATE[/BURST] ,slot=N. Repeat for more; the first is /dev/vda. slot "
        + "is the PCI device number; with --transport mmio, address=A places the registers instead.",
      valueName: "disk"
    ),
    transform: DiskOption.init(parsing:)
  )
  var disks: [DiskOption] = []

  @Option(
    name: .customLong("net"),
    help: ArgumentHelp(
      "A network interface: tap=NAME[,queues=N], unix:PATH[,server] or fd=N[:N…]; with "
        + "[,mac=M][,mtu=N][,slot=N] and limits [,rx-bytes=R[/BURST]] [,rx-packets=…] [,tx-bytes=…] "
        + "[,tx-packets=…] a second. Repeat for more.",
      valueName: "link"
    )
  )
  var networks: [NetOption] = []

  @Option(
    help: ArgumentHelp(
      "Sockets between guest and host: cid=N,path=PATH[,slot=N]. Who connects to PATH and says "
        + "'CONNECT P' reaches port P of the guest; the guest's connections to port P go to PATH_P.",
      valueName: "sockets"
    )
  )
  var vsock: VsockOption?

  @Option(
    help: ArgumentHelp(
      "A memory balloon: size=SIZE of the guest's memory goes back to the host, and pages that the guest "
        + "reports as free do until they are used. [,reporting=off] [,deflate-on-oom=off] [,slot=N].",
      valueName: "balloon"
    ),
    transform: BalloonOption.init(parsing:)
  )
  var balloon: BalloonOption?

  @Option(
    name: .customLong("device"),
    help: ArgumentHelp(
      "A device that another process serves: \(MachineConfiguration.Remote.Kind.names), with ,socket=PATH[,slot=N], and for "
        + "a network interface [,mac=M]; or mpqemu[,slot=N],exec=COMMAND, where {fd} in the command, or its end, is "
        + "the number of a connected socket. Repeat for more.",
      valueName: "device"
    ),
    transform: DeviceOption.init(parsing:)
  )
  var devices: [DeviceOption] = []

  @Option(
    help: ArgumentHelp(
      "Which devices have processes of their own, which can die and be followed by others: devices (all but the "
        + "serial port), or none.",
      valueName: "which"
    )
  )
  var isolate = MachineConfiguration.Isolation.devices

  @Option(
    help: ArgumentHelp(
      "How processes of devices reach the guest's memory: shared (all of it is mapped there), message (nothing "
        + "is; each access is asked for), or window (the same, for what the driver's queues name only).",
      valueName: "how"
    )
  )
  var dma = DMAMode.shared

  @Option(help: ArgumentHelp("How virtio devices are attached: pci or mmio.", valueName: "kind"))
  var transport = MachineConfiguration.Transport.pci

  @Flag(
    inversion: .prefixedNo,
    help: "Offer packed virtqueues; without them guests use split ones."
  )
  var packedRings = true

  @Option(
    help: ArgumentHelp(
      "Threads that serve the queues of virtio devices other than consoles, dealt out in turn; 0: each device has its own.",
      valueName: "n"
    )
  )
  var queueThreads = 0

  @Option(
    help: ArgumentHelp(
      "How long a queue's thread looks for work itself before it sleeps, in microseconds, 0 to 1000; 32 "
        + "unless said otherwise, and 0 where the guest has as many processors as the host.",
      valueName: "us"
    )
  )
  var queuePolling: UInt32?

  @Option(
    help: ArgumentHelp(
      "The first serial port: stdio, none, file:F, pipe:F or unix:F.",
      valueName: "where"
    )
  )
  var serial = StreamOption(.standard)

  @Option(
    help: ArgumentHelp(
      "A virtio console: none, stdio, file:F, pipe:F or unix:F.",
      valueName: "where"
    )
  )
  var console = StreamOption(.none)

  @Option(
    name: .customLong("port"),
    help: ArgumentHelp(
      "A port of the virtio console, /dev/virtio-ports/NAME in the guest: NAME=WHERE, such as "
        + "org.qemu.guest_agent.0=unix:/tmp/agent. Repeat for more, up to 30.",
      valueName: "port"
    ),
    transform: PortOption.init(parsing:)
  )
  var ports: [PortOption] = []

  @Flag(inversion: .prefixedNo, help: "A virtio entropy source.")
  var entropy = true

  @Option(
    help: ArgumentHelp(
      "Random bytes that the guest may take a second: R[/BURST], such as 64K/4K.",
      valueName: "rate"
    )
  )
  var entropyRate: RateOption?

  @Option(
    help: ArgumentHelp("When the guest resets the machine: exit or restart.", valueName: "action")
  )
  var onReset = MachineConfiguration.ResetAction.exit

  @Option(
    help: ArgumentHelp(
      "What runs the guest: kvm, emulated (a small host under QEMU), or auto, which takes kvm where "
        + "the processor has vmx or svm.",
      valueName: "how"
    )
  )
  var accel = Accelerator.auto

  @Option(
    name: .customLong("irqchip"),
    help: ArgumentHelp(
      "Where the interrupt controllers are: kernel (all in KVM), split (local APICs in KVM, the "
        + "others here) or user (all here); split where KVM can, unless said otherwise.",
      valueName: "where"
    )
  )
  var interruptMode: InterruptMode?

  @Flag(
    help:
      "Print the state of the interrupt controllers when the guest ends; SIGUSR1 does at any time."
  )
  var dumpInterrupts = false

  @Option(
    help: ArgumentHelp(
      "Keep the state of the interrupt controllers in a file when the guest ends; SIGUSR1 does at any "
        + "time. apus interrupts shows it.",
      valueName: "file"
    ),
    completion: .file()
  )
  var saveInterrupts: String?

  @Option(
    help: ArgumentHelp(
      "Save the whole machine to a file when SIGUSR2 comes, and end; --restore goes on with it.",
      valueName: "file"
    ),
    completion: .file()
  )
  var save: String?

  @Option(
    help: ArgumentHelp(
      "Go on with a machine that --save has saved; the options for its devices are the same as then.",
      valueName: "file"
    ),
    completion: .file()
  )
  var restore: String?

  @Option(
    help: ArgumentHelp(
      "Where requests about the machine are answered while it runs, for apus inspect and apus replace: a path for "
        + "a unix socket, which is only its user's.",
      valueName: "socket"
    )
  )
  var control: String?

  @Option(
    help: ArgumentHelp(
      "Record all messages with the processes of devices in a file, for apus replay.",
      valueName: "file"
    ),
    completion: .file()
  )
  var record: String?

  @Flag(help: "A write of V to port 0xF4 ends the process with (V << 1) | 1; adds fw_cfg at 0x510.")
  var debugExit = false

  @Flag(help: "A test device at ports 0xE0-0xEF and 0x2000-0x2017; adds fw_cfg at 0x510.")
  var testDevice = false

  @Flag(help: "Print the machine, its addresses and interrupts, and run nothing.")
  var dryRun = false

  @Option(
    help: ArgumentHelp(
      "What is logged: trace, debug, info, notice, warning, error or critical.",
      valueName: "level"
    )
  )
  var logLevel = Logger.Level.warning

  mutating func validate() throws {
    if kernel == nil, restore == nil {
      throw ValidationError("Missing expected argument '<kernel>'")
    }
  }

  mutating func run() throws {
    LineLogHandler.install(logLevel, program: "apus")
    var configuration = self.configuration
    if let size = try Self.explaining({ try Machine.restoredSize(of: configuration) }) {
      if cpus == nil { configuration.processorCount = size.processorCount }
      if memory == nil { configuration.memory = size.memory }
    }
    if dryRun {
      let text = try Self.explaining { try Machine.describe(configuration) }
      try FileIO.writeAll(STDOUT_FILENO, Array(text.utf8))
      return
    }
    let hasHardware = Accelerator.hasHardwareVirtualization(cpuinfo: Accelerator.cpuinfo())
    // Everything that can be wrong with the command line is found before a line is said about the
    // host, and before anything is started.
    if !hasHardware || accel == .emulated {
      _ = try Self.explaining { try Machine.describe(configuration) }
    }
    switch (accel, hasHardware) {
    case (.emulated, _), (.auto, false): throw ExitCode(try emulate(configuration))
    case (.kvm, false):
      Self.note(
        "warning: no vmx or svm in the CPU flags, so /dev/kvm is a software one, where Linux does "
          + "not boot; use --accel emulated for it"
      )
    case (.kvm, true), (.auto, true): break
    }
    throw ExitCode(try Self.runHere(configuration))
  }

  /// Runs the guest in this process, again and again if it is to restart.
  static func runHere(_ configuration: MachineConfiguration) throws -> Int32 {
    let outcome = try explaining { try Machine.run(configuration) }
    if let message = outcome.message { note(message) }
    return outcome.exitCode
  }

  /// Turns what the user can mend into ``UserError``.
  static func explaining<Result>(_ body: () throws -> Result) throws -> Result {
    do {
      return try body()
    } catch let error where Machine.isUserError(error) {
      throw UserError(message: "\(error)")
    }
  }

  /// What the options say, as a machine.
  var configuration: MachineConfiguration {
    var configuration = MachineConfiguration(kernel: kernel ?? "")
    configuration.bootProtocol = boot.bootProtocol
    configuration.initialFiles = initrd.flatMap { BootRequest.files(in: $0) }
    configuration.commandLine = append
    if let cpus { configuration.processorCount = cpus }
    if let memory { configuration.memory = memory.bytes }
    configuration.usesHugePages = hugepages
    configuration.disks = disks.map(\.disk)
    configuration.networks = networks.map(\.network)
    configuration.vsock = vsock?.vsock
    configuration.balloon = balloon?.balloon
    configuration.remotes = devices.map(\.remote)
    configuration.isolation = isolate
    configuration.dma = dma
    configuration.transport = transport
    configuration.offersPackedRings = packedRings
    configuration.queues.threadCount = queueThreads
    configuration.queues.polling = queuePolling
    configuration.serial = serial.stream
    configuration.console = console.stream
    configuration.ports = ports.map(\.port)
    configuration.hasEntropy = entropy
    configuration.entropyRate = entropyRate?.rate
    configuration.interruptMode = interruptMode
    configuration.dumpsInterrupts = dumpInterrupts
    configuration.interruptStatePath = saveInterrupts
    configuration.savePath = save
    configuration.restorePath = restore
    configuration.controlPath = control
    configuration.recordPath = record
    configuration.hasDebugExit = debugExit
    configuration.hasTestDevice = testDevice
    configuration.onReset = onReset
    return configuration
  }

  /// Says a line about the host.
  static func note(_ text: String) {
    try? FileIO.writeAll(STDERR_FILENO, Array("apus: \(text)\n".utf8))
  }
}
