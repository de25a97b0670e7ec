/// A packet between a console's process and the monitor that has its ends: where in the port's stream it begins, in 8
/// bytes, little-endian, and the bytes.
///
/// Whoever has seen bytes at a position passes over those that come with it again, from a process that goes on where another died.
package enum ConsoleFrame {
  /// The most bytes of the stream in a packet.
  package static var limit: Int { 4096 }
  /// The bytes before them.
  package static var header: Int { 8 }

  /// A packet with the bytes that `bytes` begins with, as many as it may have.
  package static func make(_ position: UInt64, _ bytes: some Sequence<UInt8>) -> [UInt8] {
    (0..<header).map { UInt8(truncatingIfNeeded: position >> (8 * UInt64($0))) }
      + bytes.prefix(limit)
  }

  /// Where the packet that a buffer begins with begins in the stream; `nil` if it has no bytes.
  package static func position(_ buffer: [UInt8], count: Int) -> UInt64? {
    guard count > header, buffer.count >= header else { return nil }
    return buffer[0..<header].reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }
}
