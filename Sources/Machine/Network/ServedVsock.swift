import HostOS
public import Virtio

/// The host's side of a socket device for a machine that is another process's.
public enum ServedVsock {
  /// Checks the configuration, and listens at its path.
  ///
  /// - Throws: ``MachineError`` for what the user can mend, or `SystemError`.
  public static func open(_ vsock: MachineConfiguration.Vsock) throws -> VsockSockets {
    var configuration = MachineConfiguration(kernel: "")
    configuration.vsock = vsock
    try configuration.validateVsock()
    return try vsock.listen()
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
