import HostOS
import Logging
import RemoteDevice
import Virtio

/// Connects to the processes that serve a machine's devices.
enum RemoteLink {
  /// The devices, in order.
  static func open(_ configuration: MachineConfiguration) throws -> [any VirtioDevice] {
    try configuration.remotes.enumerated().map { index, remote in
      var options = VhostUserRemote.Options(
        remote.kind,
        path: remote.socket,
        name: name(index),
        queueLimit: configuration.processorCount
      )
      options.address = remote.macAddress ?? NetworkLink.address(named: remote.text)
      do {
        return try VhostUserRemote(options, logger: Logger(label: name(index)))
      } catch let error as VhostUserBackEndError {
        throw MachineError.remoteDevice(option: remote.text, reason: "\(error)")
      } catch let error as SystemError {
        throw MachineError.remoteDevice(option: remote.text, reason: error.reason)
      }
    }
  }

  /// What log lines call the device.
  static func name(_ index: Int) -> String { "remote\(index)" }
}
