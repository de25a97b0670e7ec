import HostOS
public import Virtio

/// A socket device for a machine that is another process's.
public enum ServedVsock {
  /// Checks the configuration, and listens at its path.
  ///
  /// - Throws: ``MachineError`` for what the user can mend, or `SystemError`.
  public static func make(_ vsock: MachineConfiguration.Vsock) throws -> Vsock {
    var configuration = MachineConfiguration(kernel: "")
    configuration.vsock = vsock
    try configuration.validateVsock()
    return try Vsock(try vsock.listen(), guestCID: vsock.cid, name: "vsock")
  }
}

extension MachineConfiguration.Vsock {
  /// The host's side of the sockets.
  func listen() throws(MachineError) -> VsockSockets {
    do throws(SystemError) {
      return try VsockSockets(path: path)
    } catch {
      throw .vsockSocket(option: text, reason: error.reason)
    }
  }
}
