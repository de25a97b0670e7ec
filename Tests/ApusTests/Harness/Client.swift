import Glibc
import HostOS
import TestSupport

/// A client of a unix socket that belongs to a running guest.
struct Client: ~Copyable {
  private let socket: OwnedFileDescriptor

  init(_ path: String) throws {
    let number = try retrying("socket") {
      Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
    _ = try retrying("connect", path) {
      withUnsafePointer(to: address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          connect(number, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
      }
    }
    try FileIO.setNonBlocking(number)
    socket = OwnedFileDescriptor(adopting: number)
  }

  /// Ends the connection.
  consuming func close() {}

  func send(_ text: String) throws {
    try FileIO.writeAll(socket.rawValue, Array(text.utf8))
  }

  func receive(until text: String, from program: RunningProgram) throws -> String {
    let number = socket.rawValue
    var bytes: [UInt8] = []
    try program.wait(for: "\"\(text)\" on the socket") {
      if let new = try FileIO.read(number, atMost: 65536) { bytes += new }
      return String(decoding: bytes, as: UTF8.self).contains(text)
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
