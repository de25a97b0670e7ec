import Glibc
public import HostOS

/// Connecting to unix sockets.
public enum UnixConnection {
  /// Connects to the socket at `path`.
  public static func make(_ path: String) throws -> OwnedFileDescriptor {
    let number = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | 0o2000000, 0)
    guard number >= 0 else { throw VhostUserFrontEnd.Failure.system(errno) }
    let descriptor = OwnedFileDescriptor(adopting: number)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
    let result = withUnsafePointer(to: address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Glibc.connect(number, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    guard result == 0 else { throw VhostUserFrontEnd.Failure.system(errno) }
    return descriptor
  }
}
