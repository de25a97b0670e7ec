import Glibc
import HostOS
import RemoteDevice
import Virtio

/// The devices of a machine that have processes of their own: this same program, as `apus serve`.
///
/// They outlive a restart of the guest. Letting go of them ends the processes.
final class IsolatedDevices: Sendable {
  /// The disks and network interfaces, in order.
  let disks: [RemoteLink.Device]
  let networks: [RemoteLink.Device]
  /// The sockets and the entropy source; `nil` where the machine has none.
  let vsock: RemoteLink.Device?
  let entropy: RemoteLink.Device?

  /// All processes, by the names of their devices.
  var processes: [(name: String, process: DeviceSupervisor)] {
    (diskProcesses + otherProcesses).map { ($0.name, $0.supervisor) }
  }

  private let diskProcesses: [IsolatedProcess]
  private let otherProcesses: [IsolatedProcess]

  /// Starts the processes that `configuration` asks for, all at once, and connects to them.
  ///
  /// - Parameters:
  ///   - configuration: The machine.
  ///   - recorder: Where what is said with them is recorded, if it is.
  /// - Throws: What is wrong with a device, or with the host.
  init(_ configuration: MachineConfiguration, _ recorder: MessageRecorder?) throws {
    // What a user can mend is then told as if there were no other process.
    for disk in configuration.disks { _ = try disk.open() }
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
    let entropyProcess =
      try configuration.hasEntropy
      ? IsolatedProcess("entropy", Self.entropyArguments(configuration), of: configuration) : nil

    self.diskProcesses = diskProcesses
    otherProcesses = networkProcesses + [vsockProcess, entropyProcess].compactMap { $0 }
    disks = try zip(diskProcesses, configuration.disks).map { process, disk in
      try process.connect(.block, recorder) { $0.queueLimit = disk.queueCount ?? count }
    }
    networks = try zip(networkProcesses, configuration.networks).map { process, network in
      try process.connect(.network, recorder) { $0.address = NetworkLink.address(of: network) }
    }
    vsock = try vsockProcess?.connect(.sockets, recorder)
    entropy = try entropyProcess?.connect(.entropy, recorder)
  }

  /// Has the disks looked at again, which may have changed their sizes.
  func resizeDisks() {
    for process in diskProcesses { process.supervisor.signal(SIGUSR2) }
  }

  private static func entropyArguments(_ configuration: MachineConfiguration) -> [String] {
    ["entropy"] + (configuration.entropyRate.map { ["--rate", $0.text] } ?? [])
  }
}
