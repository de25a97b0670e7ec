import CLinux
import Glibc

/// What a descriptor that came from elsewhere stands for, as far as one can tell without asking it to
/// do anything.
public enum DescriptorKind: Equatable, Sendable {
  /// A file with contents that can be mapped, on disk or in memory, and its size.
  case file(count: UInt64, blockSize: UInt64)
  /// Something of the kernel's without a file: an eventfd, but also an epoll or a timer.
  case anonymous
  /// A connected unix stream socket.
  case streamSocket
  /// A unix stream socket that waits for clients.
  case listeningSocket
  /// Anything else, such as `a directory`.
  case other(String)

  /// Looks at descriptor `number`.
  public init(of number: Int32) throws(SystemError) {
    var status = stat()
    _ = try retrying("fstat", "descriptor \(number)") { unsafe fstat(number, &status) }
    switch status.st_mode & S_IFMT {
    case S_IFREG:
      self = .file(
        count: UInt64(clamping: status.st_size),
        blockSize: UInt64(clamping: status.st_blksize)
      )
    // The kernel's own objects have no type (`anon_inode`).
    case 0: self = .anonymous
    case S_IFSOCK: self = Self.socket(number)
    case S_IFDIR: self = .other("a directory")
    case S_IFIFO: self = .other("a pipe")
    case S_IFCHR: self = .other("a character device")
    case S_IFBLK: self = .other("a block device")
    default: self = .other("a file of an unknown type")
    }
  }

  private static func socket(_ number: Int32) -> Self {
    guard apus_socket_option(number, SO_DOMAIN) == AF_UNIX,
      apus_socket_option(number, SO_TYPE) == Int32(SOCK_STREAM.rawValue)
    else { return .other("a socket of another kind") }
    return apus_socket_option(number, SO_ACCEPTCONN) == 1 ? .listeningSocket : .streamSocket
  }
}

extension DescriptorKind: CustomStringConvertible {
  /// As in `descriptor 3 is a pipe`.
  public var description: String {
    switch self {
    case .file: "a file"
    case .anonymous: "an eventfd or the like"
    case .streamSocket: "a unix stream socket"
    case .listeningSocket: "a listening unix socket"
    case .other(let name): name
    }
  }
}
