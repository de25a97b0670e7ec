import DeviceModel
import HostOS
import Logging
import RemoteDevice
import Virtio

/// Connects to the processes that serve a machine's devices.
enum RemoteLink {
  /// What becomes a device of a machine: one for our transports, a PCI function of another process with all that belongs to it,
  /// or one of an author's in this process.
  enum Device {
    case virtio(any VirtioDevice)
    case function(any RemoteFunctionMaker)
    case model(PCIDeviceModel)

    /// What messages call it.
    var name: String {
      switch self {
      case .virtio(let device): device.name
      case .function(let maker): maker.name
      case .model(let model): model.profile.name
      }
    }
  }

  /// The devices, in order.
  static func open(
    _ configuration: MachineConfiguration,
    _ recorder: MessageRecorder?
  ) throws -> [Device] {
    try configuration.remotes.enumerated().map { index, remote in
      do {
        return try open(remote, index, configuration, recorder)
      } catch let error as VhostUserBackEndError {
        throw MachineError.remoteDevice(option: remote.text, reason: "\(error)")
      } catch let error as VfioUserError {
        throw MachineError.remoteDevice(option: remote.text, reason: "\(error)")
      } catch let error as MPQEMUError {
        throw MachineError.remoteDevice(option: remote.text, reason: "\(error)")
      } catch let error as MPQEMUProxyError {
        throw MachineError.remoteDevice(option: remote.text, reason: "\(error)")
      } catch let error as SystemError {
        throw MachineError.remoteDevice(option: remote.text, reason: error.reason)
      }
    }
  }

  private static func open(
    _ remote: MachineConfiguration.Remote,
    _ index: Int,
    _ configuration: MachineConfiguration,
    _ recorder: MessageRecorder?
  ) throws -> Device {
    let logger = Logger(label: name(index))
    switch remote.kind {
    case .vhostUser(let kind):
      var options = VhostUserRemote.Options(
        kind,
        path: remote.socket,
        name: name(index),
        queueLimit: configuration.processorCount
      )
      options.recorder = recorder
      options.address = remote.macAddress ?? NetworkLink.address(named: remote.text)
      return .virtio(try VhostUserRemote(options, logger: logger))
    case .vfioUser:
      var options = VfioUserRemote.Options(path: remote.socket, name: name(index))
      options.recorder = recorder
      let device = try VfioUserRemote(options, logger: logger)
      let isSaved = configuration.savePath != nil || configuration.restorePath != nil
      guard try !isSaved || device.offersMigration() else {
        throw MachineError.unsavedDevice(
          option: remote.text,
          remedy: "take that device away, or have a server that offers migration"
        )
      }
      return .function(device)
    case .mpqemu(let process):
      return .function(
        try MPQEMUDevice(
          process,
          name: name(index),
          recorder: recorder,
          logger: logger
        )
      )
    }
  }

  /// A device of a machine that is only described.
  static func detached(_ remote: MachineConfiguration.Remote, _ index: Int) -> Device {
    switch remote.kind {
    case .vhostUser(let kind): .virtio(DetachedRemote(kind, index))
    case .vfioUser, .mpqemu: .function(DetachedFunction.Maker(remote, index))
    }
  }

  /// What log lines call the device.
  static func name(_ index: Int) -> String { "remote\(index)" }
}
