import CLinux
import Glibc

/// Unix stream sockets by path.
public enum UnixSocket {
  /// Connects to who listens at `path`; close-on-exec and non-blocking.
  ///
  /// In a sandbox, the monitor does it.
  ///
  /// - Parameter path: At most 107 bytes (unix(7)).
  /// - Returns: The connected socket.
  /// - Throws: ``SystemError``: `ENOENT` or `ECONNREFUSED` if nobody listens there, `EAGAIN` if too many
  ///   wait to be accepted.
  public static func connect(to path: String) throws(SystemError) -> OwnedFileDescriptor {
    if let brokered = try SocketBroker.connect(to: path) { return brokered }
    let address = try address(path, "connect")
    let number = try retrying("socket") {
      socket(
        AF_UNIX,
        Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue),
        0
      )
    }
    let descriptor = OwnedFileDescriptor(adopting: number)
    _ = try retrying("connect", path) {
      unsafe withAddress(address) { unsafe Glibc.connect(number, $0, $1) }
    }
    return descriptor
  }

  /// How a socket keeps what is sent apart.
  public enum Kind: Sendable {
    /// Not at all: bytes.
    case stream
    /// As messages, one by one.
    case datagram
    /// As messages, in order, over a connection.
    case sequence
  }

  /// Which kind of socket `number` is; `nil` if it is none of them, or no socket at all.
  public static func kind(of number: Int32) -> Kind? {
    var found: Int32 = 0
    var size = socklen_t(MemoryLayout<Int32>.size)
    // SAFETY: the result and its size are live locals.
    guard unsafe getsockopt(number, SOL_SOCKET, SO_TYPE, &found, &size) == 0 else { return nil }
    return switch found {
    case Int32(SOCK_STREAM.rawValue): .stream
    case Int32(SOCK_DGRAM.rawValue): .datagram
    case Int32(SOCK_SEQPACKET.rawValue): .sequence
    default: nil
    }
  }

  /// The address of the socket at `path`.
  static func address(_ path: String, _ call: String) throws(SystemError) -> sockaddr_un {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(path.utf8)
    guard !bytes.isEmpty, bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
      throw SystemError(call: call, code: ENAMETOOLONG, subject: path)
    }
    // SAFETY: the path fits in the field, with a NUL after it.
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: bytes) }
    return address
  }

  /// Hands `body` the address as calls want it.
  static func withAddress(
    _ address: sockaddr_un,
    _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
  ) -> Int32 {
    unsafe withUnsafePointer(to: address) { pointer in
      // SAFETY: every socket address starts with the fields of `sockaddr`.
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
  }
}
