import CLinux
import Glibc
import HostOS
import PCI
import RemoteDevice
import Virtio

/// The devices of a machine that have processes of their own: this same program, as `apus serve`.
///
/// They outlive a restart of the guest. Letting go of them ends the processes.
final class IsolatedDevices: Sendable {
  /// The disks and network interfaces, in order.
  let disks: [RemoteLink.Device]
  let networks: [RemoteLink.Device]
  /// The sockets, the balloon, the console and the entropy source; `nil` where the machine has none, and for a balloon and a
  /// console without PCI, or a balloon whose process has not the guest's memory, which are then in this process.
  let vsock: RemoteLink.Device?
  let balloon: RemoteLink.Device?
  let console: RemoteLink.Device?
  let entropy: RemoteLink.Device?

  /// All processes, by the names of their devices.
  var processes: [(name: String, process: DeviceSupervisor)] {
    (diskProcesses + otherProcesses).map { ($0.name, $0.supervisor) }
  }

  private let diskProcesses: [IsolatedProcess]
  private let otherProcesses: [IsolatedProcess]
  /// What makes the function of each process, by which it is known: a user may give a disk any name.
  private let makers: [(maker: any RemoteFunctionMaker, process: IsolatedProcess)]

  /// Starts those of a machine whose console has its ends in `console`; `nil` if none is to have a process.
  static func start(
    _ configuration: MachineConfiguration,
    _ recorder: MessageRecorder?,
    _ console: HostConsole
  ) throws -> IsolatedDevices? {
    guard configuration.isolation != .none else { return nil }
    let link = try configuration.transport == .pci ? console.makeLink() : nil
    return try IsolatedDevices(configuration, recorder, link)
  }

  /// Starts the processes that `configuration` asks for, all at once, and connects to them.
  ///
  /// - Parameters:
  ///   - configuration: The machine.
  ///   - recorder: Where what is said with them is recorded, if it is.
  ///   - link: The console's ends, which outlive its process; `nil` if it has none.
  /// - Throws: What is wrong with a device, or with the host.
  init(
    _ configuration: MachineConfiguration,
    _ recorder: MessageRecorder?,
    _ link: ConsoleLinkHost?
  ) throws {
    // What a user can mend is then told as if there were no other process.
    for disk in configuration.disks { _ = try disk.open() }
    for network in configuration.networks where !network.descriptors.allSatisfy(Self.isOpen) {
      _ = try NetworkLink.open(network)
    }
    let count = configuration.processorCount
    let first = IsolatedProcess.firstDescriptor(configuration)
    let diskProcesses = try configuration.disks.enumerated().map { index, disk in
      let name = disk.name ?? "disk\(index)"
      let defaultCount = if case .nbd = disk.source { 1 } else { count }
      return try IsolatedProcess(
        name,
        disk.serveArguments(name: name, queueCount: disk.queueCount ?? defaultCount),
        of: configuration
      )
    }
    let networkProcesses = try configuration.networks.enumerated().map { index, network in
      try IsolatedProcess(
        "net\(index)",
        network.serveArguments(
          descriptorsFrom: first,
          address: configuration.transport == .pci ? NetworkLink.address(of: network) : nil
        ),
        descriptors: network.descriptors,
        of: configuration
      )
    }
    let vsockProcess = try configuration.vsock.map {
      try IsolatedProcess("vsock", $0.serveArguments, of: configuration)
    }
    let balloonProcess = try Self.balloonProcess(configuration)
    let consoleProcess = try link.map {
      try IsolatedProcess(
        "console",
        Self.consoleArguments(configuration, linkedFrom: first),
        descriptors: $0.descriptors,
        of: configuration
      )
    }
    let entropyProcess =
      try configuration.hasEntropy
      ? IsolatedProcess("entropy", Self.entropyArguments(configuration), of: configuration) : nil

    self.diskProcesses = diskProcesses
    let others = [vsockProcess, balloonProcess, consoleProcess, entropyProcess]
    otherProcesses = networkProcesses + others.compactMap { $0 }
    disks = try zip(diskProcesses, configuration.disks).map { process, disk in
      try process.connect(.block, recorder) { $0.queueLimit = disk.queueCount ?? count }
    }
    networks = try zip(networkProcesses, configuration.networks).map { process, network in
      try process.connect(.network, recorder) { $0.address = NetworkLink.address(of: network) }
    }
    vsock = try vsockProcess?.connect(.sockets, recorder)
    balloon = try balloonProcess?.connectFunction(recorder)
    console = try consoleProcess?.connectFunction(recorder)
    entropy = try entropyProcess?.connect(.entropy, recorder)
    let connected: [(RemoteLink.Device?, IsolatedProcess?)] =
      zip(disks + networks, diskProcesses + networkProcesses).map { ($0, $1) }
      + [
        (vsock, vsockProcess), (balloon, balloonProcess), (console, consoleProcess),
        (entropy, entropyProcess),
      ]
    makers = connected.compactMap { device, process in
      guard case .function(let maker)? = device, let process else { return nil }
      return (maker, process)
    }
  }

  /// The process of a PCI function; `nil` if it is none of these.
  func process(of function: any PCIFunction) -> IsolatedProcess? {
    guard let function = function as? VfioUserFunction else { return nil }
    return makers.first { function.isMade(by: $0.maker) }?.process
  }

  /// Has all processes end in order, and no other start before ``release()``.
  ///
  /// - Throws: ``SnapshotError/mismatch(_:)`` for the first that does not.
  func hold() throws(SnapshotError) {
    for process in diskProcesses + otherProcesses { try process.hold() }
  }

  /// Has processes serve the devices again.
  func release() { for process in diskProcesses + otherProcesses { process.release() } }

  /// What the network interfaces and the balloon have to say, by their names; those that do not answer in time are left out.
  var reports: [(name: String, text: String)] {
    let asked = otherProcesses.filter { $0.name.hasPrefix("net") || $0.name == "balloon" }
    for process in asked { process.supervisor.requestReport() }
    let end = MonotonicClock.nanoseconds + Self.reportPatience
    return asked.compactMap { process in
      process.supervisor.report(until: end).map { (process.name, $0) }
    }
  }
  // Longer than a balloon waits for its guest, in nanoseconds.
  private static var reportPatience: UInt64 { 1_000_000_000 }

  /// Has the disks looked at again, which may have changed their sizes.
  func resizeDisks() {
    for process in diskProcesses { process.supervisor.signal(SIGUSR2) }
  }

  private static func isOpen(_ number: Int32) -> Bool { apus_fcntl(number, F_GETFD, 0) >= 0 }

  private static func balloonProcess(
    _ configuration: MachineConfiguration
  ) throws -> IsolatedProcess? {
    // What is not mapped cannot be given back.
    guard configuration.transport == .pci, configuration.dma == .shared,
      let balloon = configuration.balloon
    else { return nil }
    return try IsolatedProcess("balloon", balloon.serveArguments, of: configuration)
  }

  private static func consoleArguments(
    _ configuration: MachineConfiguration,
    linkedFrom first: Int32
  ) -> [String] {
    ["console", "link:\(first)"] + configuration.ports.map { "--port=\($0.name)" }
      + (configuration.console == .none ? ["--no-terminal"] : [])
  }

  private static func entropyArguments(_ configuration: MachineConfiguration) -> [String] {
    ["entropy"] + (configuration.entropyRate.map { ["--rate", $0.text] } ?? [])
  }
}
