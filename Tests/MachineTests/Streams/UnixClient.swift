import Glibc
import HostOS
import TestSupport

/// A program at the other end of a unix socket.
final class UnixClient {
  private let descriptor: OwnedFileDescriptor

  /// Connects, trying again until somebody listens, ten seconds at most.
  init(_ path: String) throws {
    // SOCK_STREAM and SOCK_CLOEXEC, by whose names the compiler does not find them in each of its runs.
    let number = socket(AF_UNIX, 1 | 0o2000000, 0)
    descriptor = OwnedFileDescriptor(adopting: number)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
    let isConnected = waitUntil {
      withUnsafePointer(to: address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          connect(number, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
        }
      }
    }
    guard isConnected else { throw SystemError(call: "connect", code: ETIMEDOUT, subject: path) }
    try FileIO.setNonBlocking(number)
  }

  /// The descriptor's number.
  var number: Int32 { descriptor.rawValue }

  /// Sends all of `bytes`.
  func send(_ bytes: [UInt8]) throws { try FileIO.writeAll(number, bytes) }

  /// Receives until there are `count` bytes, the other side closes, or ten seconds have passed.
  func receive(_ count: Int) throws -> [UInt8] {
    var bytes: [UInt8] = []
    _ = try waitUntil {
      guard let more = try FileIO.read(number, atMost: count - bytes.count) else { return false }
      bytes += more
      return more.isEmpty || bytes.count == count
    }
    return bytes
  }
}
