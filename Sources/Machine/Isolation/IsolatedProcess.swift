import Glibc
import GuestMemory
import HostOS
import Logging
import RemoteDevice
import Virtio

/// The process of one device of a machine: this same program, as `apus serve`.
///
/// For a machine with PCI it serves the whole device over vfio-user, and keeps its state in a file of ours, which its
/// successor finds. One with registers in memory only has the device here, and its queues over vhost-user.
struct IsolatedProcess {
  let name: String
  let supervisor: DeviceSupervisor
  private let isFunction: Bool
  private let dma: DMAMode
  // Open for as long as a process may be started.
  private let state: GuestMemory?

  /// The number of the first descriptor that a device itself is given.
  static func firstDescriptor(_ configuration: MachineConfiguration) -> Int32 {
    DeviceProgram.socketNumber + (configuration.transport == .pci ? 2 : 1)
  }

  /// Starts a process.
  ///
  /// - Parameters:
  ///   - name: The device's name.
  ///   - arguments: What follows `serve`, up to for whom.
  ///   - descriptors: What the device itself is given.
  ///   - configuration: The machine.
  /// - Throws: `SystemError` if the host has no descriptor, thread or memory left.
  init(
    _ name: String,
    _ arguments: [String],
    descriptors: [Int32] = [],
    of configuration: MachineConfiguration
  ) throws(SystemError) {
    let logger = Logger(label: "apus")
    let socket = "fd:\(DeviceProgram.socketNumber)"
    var all = ["apus", "serve"] + arguments
    var handed: [Int32] = []
    isFunction = configuration.transport == .pci
    dma = configuration.dma
    if isFunction {
      let memory = try GuestMemory(count: VirtioStateFile.byteCount)
      guard let file = memory.file.borrow({ $0.rawValue }) else {
        preconditionFailure("memory of our own without a file")
      }
      handed = [file]
      all += ["--vfio-user", socket, "--state", "fd:\(DeviceProgram.socketNumber + 1)"]
      if !configuration.offersPackedRings || dma == .window { all.append("--no-packed-rings") }
      state = memory
    } else {
      all += ["--vhost-user", socket]
      state = nil
    }
    all += ["--log-level", logger.logLevel.rawValue, "--supervised"]
    self.name = name
    supervisor = try DeviceSupervisor(
      name,
      DeviceProgram("/proc/self/exe", all, descriptors: handed + descriptors),
      logger: logger
    )
  }

  /// Why the process does not serve the device: what it has said itself, if it was told what cannot be.
  private func failure(_ reason: String) -> MachineError {
    if let refusal = supervisor.refusal { return .refusedDevice(refusal) }
    return .isolatedDevice(name, reason: supervisor.failure ?? reason)
  }

  /// Maps the file that the process keeps its state in.
  ///
  /// - Throws: `SystemError` or `SharedMappingError` if the host fails.
  func openState() throws -> VirtioStateFile {
    let file = try state?.file.borrow { (file) throws(SystemError) in try file.duplicated() }
    guard let file = consume file else {
      throw SystemError(call: "mmap", code: ENOTSUP, subject: name)
    }
    return try VirtioStateFile(file)
  }

  /// Connects to the process.
  ///
  /// - Throws: `MachineError` if it is of no use, `SystemError` if the host fails.
  func connect(
    _ kind: VhostUserKind,
    _ recorder: MessageRecorder?,
    _ prepare: (inout VhostUserRemote.Options) -> Void = { _ in }
  ) throws -> RemoteLink.Device {
    guard !isFunction else { return try connectFunction(recorder) }
    var options = VhostUserRemote.Options(kind, source: supervisor, name: name)
    options.recorder = recorder
    prepare(&options)
    do {
      return .virtio(try VhostUserRemote(options, logger: Logger(label: name)))
    } catch let error as VhostUserBackEndError {
      throw failure("\(error)")
    }
  }

  /// Connects to the process of a PCI function.
  ///
  /// - Throws: `MachineError` if it is of no use, `SystemError` if the host fails.
  func connectFunction(_ recorder: MessageRecorder?) throws -> RemoteLink.Device {
    var options = VfioUserRemote.Options(source: supervisor, name: name, takesOver: true)
    options.patience = 10
    options.dma = dma
    options.recorder = recorder
    do {
      return .function(try VfioUserRemote(options, logger: Logger(label: name)))
    } catch let error as VfioUserError {
      throw failure("\(error)")
    }
  }
}
