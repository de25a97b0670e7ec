import Glibc
public import HostOS

/// Where a front end is to be found.
public enum VhostUserEndpoint: ~Copyable, Sendable {
  /// Front ends connect to this, one at a time.
  case listener(UnixListener)
  /// This one is connected, and there will be no other.
  case connection(OwnedFileDescriptor)

  /// Listens at `path`.
  ///
  /// - Throws: As ``UnixListener/init(path:)``.
  public init(path: String) throws(SystemError) {
    self = .listener(try UnixListener(path: path))
  }

  /// Takes over a socket that the process was started with, which listens or is connected.
  ///
  /// - Throws: `SystemError`, `ENOTSOCK` for anything but a unix stream socket.
  public init(adopting descriptor: consuming OwnedFileDescriptor) throws(SystemError) {
    switch try DescriptorKind(of: descriptor.rawValue) {
    case .listeningSocket: self = .listener(try UnixListener(adopting: descriptor))
    case .streamSocket: self = .connection(descriptor)
    default:
      throw SystemError(
        call: "vhost-user",
        code: ENOTSOCK,
        subject: "descriptor \(descriptor.rawValue)"
      )
    }
  }
}
