import Glibc
import HostOS
import Logging
import RemoteDevice
import Virtio

/// The devices of a machine that have processes of their own: this same program, as `apus serve`.
///
/// They outlive a restart of the guest. Letting go of them ends the processes.
final class IsolatedDevices: Sendable {
  /// The disks and network interfaces, in order.
  let disks: [any VirtioDevice]
  let networks: [any VirtioDevice]
  /// The sockets and the entropy source; `nil` where the machine has none.
  let vsock: (any VirtioDevice)?
  let entropy: (any VirtioDevice)?

  /// All processes, by the names of their devices.
  let processes: [(name: String, process: DeviceSupervisor)]

  private let diskProcesses: [DeviceSupervisor]

  /// Starts the processes that `configuration` asks for, all at once, and connects to them.
  ///
  /// - Throws: What is wrong with a device, or with the host.
  init(_ configuration: MachineConfiguration, _ recorder: MessageRecorder?) throws {
    // What a user can mend is then told as if there were no other process.
    for disk in configuration.disks { _ = try disk.open() }
    let count = configuration.processorCount
    let first = DeviceProgram.socketNumber + 1
    let diskProcesses = try configuration.disks.enumerated().map { index, disk in
      let name = Self.name(of: disk, index)
      let defaultCount = if case .nbd = disk.source { 1 } else { count }
      return try Self.start(
        name,
        disk.serveArguments(name: name, queueCount: disk.queueCount ?? defaultCount)
      )
    }
    let networkProcesses = try configuration.networks.enumerated().map { index, network in
      try Self.start(
        "net\(index)",
        network.serveArguments(descriptorsFrom: first),
        descriptors: network.descriptors
      )
    }
    let vsockProcess = try configuration.vsock.map { try Self.start("vsock", $0.serveArguments) }
    let entropyProcess =
      try configuration.hasEntropy
      ? Self.start("entropy", Self.entropyArguments(configuration)) : nil

    self.diskProcesses = diskProcesses
    var processes: [(name: String, process: DeviceSupervisor)] = []
    for (index, process) in diskProcesses.enumerated() {
      processes.append((Self.name(of: configuration.disks[index], index), process))
    }
    for (index, process) in networkProcesses.enumerated() {
      processes.append(("net\(index)", process))
    }
    if let vsockProcess { processes.append(("vsock", vsockProcess)) }
    if let entropyProcess { processes.append(("entropy", entropyProcess)) }
    self.processes = processes
    disks = try diskProcesses.enumerated().map { index, process in
      let disk = configuration.disks[index]
      return try Self.connect(.block, Self.name(of: disk, index), process, recorder) {
        $0.queueLimit = disk.queueCount ?? count
      }
    }
    networks = try networkProcesses.enumerated().map { index, process in
      try Self.connect(.network, "net\(index)", process, recorder) {
        $0.address = NetworkLink.address(of: configuration.networks[index])
      }
    }
    vsock = try vsockProcess.map { try Self.connect(.sockets, "vsock", $0, recorder) }
    entropy = try entropyProcess.map { try Self.connect(.entropy, "entropy", $0, recorder) }
  }

  /// Has the disks looked at again, which may have changed their sizes.
  func resizeDisks() {
    for process in diskProcesses { process.signal(SIGUSR2) }
  }

  private static func name(of disk: MachineConfiguration.Disk, _ index: Int) -> String {
    disk.name ?? "disk\(index)"
  }

  private static func entropyArguments(_ configuration: MachineConfiguration) -> [String] {
    ["entropy"] + (configuration.entropyRate.map { ["--rate", $0.text] } ?? [])
  }

  private static func start(
    _ name: String,
    _ arguments: [String],
    descriptors: [Int32] = []
  ) throws(SystemError) -> DeviceSupervisor {
    let logger = Logger(label: "apus")
    let all =
      ["apus", "serve"] + arguments
      + [
        "--vhost-user", "fd:\(DeviceProgram.socketNumber)",
        "--log-level", logger.logLevel.rawValue, "--supervised",
      ]
    return try DeviceSupervisor(
      name,
      DeviceProgram("/proc/self/exe", all, descriptors: descriptors),
      logger: logger
    )
  }

  private static func connect(
    _ kind: VhostUserKind,
    _ name: String,
    _ process: DeviceSupervisor,
    _ recorder: MessageRecorder?,
    _ prepare: (inout VhostUserRemote.Options) -> Void = { _ in }
  ) throws -> any VirtioDevice {
    var options = VhostUserRemote.Options(kind, source: process, name: name)
    options.recorder = recorder
    prepare(&options)
    do {
      return try VhostUserRemote(options, logger: Logger(label: name))
    } catch let error as VhostUserBackEndError {
      throw MachineError.isolatedDevice(name, reason: process.failure ?? "\(error)")
    }
  }
}
