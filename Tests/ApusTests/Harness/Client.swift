import HostOS
import TestSupport

/// A client of a unix socket that belongs to a running guest.
struct Client: ~Copyable {
  private let socket: OwnedFileDescriptor

  init(_ path: String) throws {
    socket = try UnixSocket.connect(to: path)
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
