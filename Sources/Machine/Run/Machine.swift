public import DeviceModel
import HostOS
import KVM
import PCI
import Platform
import Virtio

/// The virtual machine: what a user starts, from configuration to outcome.
public enum Machine {
  /// Runs a guest until its end, on the calling thread and threads of its own.
  ///
  /// To be called once, on a thread that may block signals: SIGTERM, SIGINT and SIGHUP end the guest.
  /// Everything that was opened is closed on return, and a terminal is as it was.
  ///
  /// - Parameters:
  ///   - configuration: The machine.
  ///   - devices: The PCI devices that it has beside those; each start of the guest has its own of each.
  /// - Returns: How the run ended.
  /// - Throws: What is wrong with the configuration (see ``isUserError(_:)``), or with the host.
  public static func run(
    _ configuration: MachineConfiguration,
    with devices: [PCIDeviceModel] = []
  ) throws -> Outcome {
    ProcessBarrier.prepare()
    try configuration.validate()
    try configuration.validate(devices)
    try Signals.installWakeUpHandler(for: Session.kickSignal)
    let session = try Session(configuration, devices)
    defer { session.close() }
    while true {
      let outcome = try session.runOnce()
      guard outcome == .reset, configuration.onReset == .restart else { return outcome }
      // A guest that was told to end and answers with a reset has ended.
      if session.isStopping { return .stopped }
    }
  }

  /// Describes the machine that `configuration` makes, without running it.
  ///
  /// - Parameters:
  ///   - configuration: The machine.
  ///   - devices: The PCI devices that it has beside those.
  /// - Returns: Lines for a user: memory map, devices with their addresses and interrupts.
  /// - Throws: What is wrong with the configuration.
  public static func describe(
    _ configuration: MachineConfiguration,
    with devices: [PCIDeviceModel] = []
  ) throws -> String {
    try configuration.validate()
    try configuration.validate(devices)
    // A machine that is put back has its kernel in memory.
    let loader = try configuration.kernel.isEmpty ? nil : Bootloader(BootRequest(configuration))
    let control = try RunControl()
    let board = try Board(
      configuration,
      physicalAddressBits: HostProcessor.physicalAddressBits,
      plane: DetachedPlane(),
      attachments: Board.Attachments(
        serial: configuration.serial == .none ? nil : SilentSerial(),
        console: try HostConsole.makeDetachedDevice(configuration),
        models: devices,
        system: control,
        clock: try HostClock()
      )
    )
    let state = try loader?.load(into: board.memory, map: board.map, rsdp: board.tables.address)
    return MachineDescription(board: board, boot: state).text
  }

  /// Reads a state that `--save-interrupts` has written, or that of a machine that `--save` has.
  ///
  /// - Throws: ``MachineError/interruptState(path:reason:)``, ``MachineError/savedMachine(path:reason:)``.
  public static func interruptState(at path: String) throws -> InterruptState {
    guard SavedMachine.isThere(path) else { return try InterruptStateFile.read(path) }
    return try SavedMachine.interruptState(at: path)
  }

  /// How much memory, in bytes, and how many processors the machine has that `configuration` restores; `nil` if
  /// it restores none.
  ///
  /// - Throws: ``MachineError/savedMachine(path:reason:)``, and what keeps such a machine from being restored.
  public static func restoredSize(
    of configuration: MachineConfiguration
  ) throws -> (memory: UInt64, processorCount: Int)? {
    try configuration.validateSaving()
    guard let path = configuration.restorePath else { return nil }
    let summary = try SavedMachine.summary(at: path)
    return (summary.memory, Int(summary.processorCount))
  }

  /// Opens the files and sockets of `configuration` and lets go of them.
  ///
  /// For a machine that will run elsewhere: what is wrong with them is then known before.
  ///
  /// - Throws: ``MachineError/stream(path:reason:)``.
  public static func checkStreams(of configuration: MachineConfiguration) throws {
    for stream in configuration.streams {
      switch stream {
      case .file, .pipe, .unix: _ = try StreamPort(stream, onQuit: {})
      case .none, .standard, .device: break
      }
    }
  }

  /// Finds whether the file that `configuration` has the interrupt state kept in can be written.
  ///
  /// - Throws: ``MachineError/interruptState(path:reason:)``.
  public static func checkInterruptStateFile(
    of configuration: MachineConfiguration
  ) throws(MachineError) {
    if let path = configuration.interruptStatePath { try InterruptStateFile.check(path) }
  }

  /// Finds whether the file that `configuration` has the machine saved to can be written.
  ///
  /// - Throws: ``MachineError/savedMachine(path:reason:)``.
  public static func checkSaveFile(of configuration: MachineConfiguration) throws(MachineError) {
    if let path = configuration.savePath { try SavedMachine.check(path) }
  }

  /// Whether the user can mend what went wrong by another command line or another file.
  public static func isUserError(_ error: any Error) -> Bool {
    error is MachineError || error is DiskError || error is MemoryMapError || error is BootError
      || error is DiskImageError || error is NBDError || error is NetworkError || error is PCIError
      || error is BusError
  }
}

/// A serial line with nothing attached.
final class SilentSerial: SerialBackend {
  func transmit(_ byte: UInt8) -> Bool { true }
  func whenReady(_ action: @escaping @Sendable () -> Void) {}
}

extension BootRequest {
  init(_ configuration: MachineConfiguration) {
    self.init(
      kernel: configuration.kernel,
      initialFiles: configuration.initialFiles,
      commandLine: configuration.commandLine,
      bootProtocol: configuration.bootProtocol
    )
  }
}
