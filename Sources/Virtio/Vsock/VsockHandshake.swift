import Glibc
import HostOS

/// A program of the host that has connected, and is to say to which port of the guest it wants.
final class VsockHandshake {
  /// What has come.
  enum Progress: Equatable {
    /// A part of the line.
    case incomplete
    /// The whole line: the guest's port.
    case port(UInt32)
    /// Something else, or the end.
    case refused
  }

  // `CONNECT 4294967295` and a newline.
  private static var limit: Int { 19 }

  let id: UInt64
  private var descriptor: OwnedFileDescriptor?
  private var line: [UInt8] = []

  init(id: UInt64, _ descriptor: consuming OwnedFileDescriptor) {
    self.id = id
    self.descriptor = consume descriptor
  }

  /// The socket's number.
  var number: Int32 { descriptor.borrow { $0.rawValue } ?? -1 }

  /// Gives the socket away.
  func take() -> OwnedFileDescriptor? { descriptor.take() }

  /// Reads the line, and nothing of what comes after it.
  func advance() -> Progress {
    var bytes = [UInt8](repeating: 0, count: Self.limit - line.count)
    // SAFETY: the array has room for as many bytes as the call is told.
    let size = unsafe bytes.withUnsafeMutableBytes {
      unsafe recv(number, $0.baseAddress, $0.count, Int32(MSG_PEEK))
    }
    guard size > 0 else { return size < 0 && errno == EAGAIN ? .incomplete : .refused }
    let end = bytes.prefix(size).firstIndex(of: UInt8(ascii: "\n"))
    // What was looked at is taken, so that the socket is not readable for it again.
    let count = end.map { $0 + 1 } ?? size
    guard let taken = try? FileIO.read(number, atMost: count), taken.count == count else {
      return .refused
    }
    line += taken
    guard end != nil else { return line.count < Self.limit ? .incomplete : .refused }
    return Self.port(in: line.dropLast()).map { .port($0) } ?? .refused
  }

  /// The port in `CONNECT 1234`.
  private static func port(in line: ArraySlice<UInt8>) -> UInt32? {
    let words = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
    guard words.count == 2, String(decoding: words[0], as: UTF8.self).uppercased() == "CONNECT",
      words[1].allSatisfy({ (0x30...0x39).contains($0) })
    else { return nil }
    return UInt32(String(decoding: words[1], as: UTF8.self))
  }
}
