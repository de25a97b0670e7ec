import Glibc
import HostOS

/// Bytes of a stream of frames, each after its length of four bytes, the most significant first.
struct StreamInput {
  /// What the bytes begin with.
  enum Next: Equatable {
    /// A frame in this range of ``StreamInput/bytes``.
    case frame(Range<Int>)
    /// A part of one, or nothing.
    case incomplete
    /// The length of a frame that no network has.
    case tooLong(Int)
  }

  /// The bytes of a frame's length.
  static var lengthSize: Int { 4 }
  // Room for the largest frame, and for several small ones with one call.
  private static var capacity: Int { 128 << 10 }

  private(set) var bytes = [UInt8](repeating: 0, count: capacity)
  private var range = 0..<0

  /// A frame's length as it is sent.
  static func length(_ count: Int) -> [UInt8] {
    (0..<lengthSize).map { UInt8(truncatingIfNeeded: count >> (8 * (lengthSize - 1 - $0))) }
  }

  /// Takes the next frame; the bytes stay where they are until the next ``fill(from:)``.
  mutating func next() -> Next {
    while range.count >= Self.lengthSize {
      let start = range.lowerBound + Self.lengthSize
      let count = bytes[range.lowerBound..<start].reduce(0) { $0 << 8 | Int($1) }
      guard count <= NetHeader.largestFrame else { return .tooLong(count) }
      guard start + count <= range.upperBound else { return .incomplete }
      range = start + count..<range.upperBound
      // An empty one says nothing.
      if count > 0 { return .frame(start..<start + count) }
    }
    return .incomplete
  }

  /// Reads what has come, after all whole frames have been taken.
  ///
  /// - Returns: How many bytes; 0 at the end of the stream; `nil` if there are none now.
  mutating func fill(from number: Int32) throws(SystemError) -> Int? {
    let kept = range.count
    let start = range.lowerBound
    var code: Int32 = 0
    let size = unsafe bytes.withUnsafeMutableBytes { all in
      // SAFETY: both ranges lie in the array; less than a frame is kept, so that there is room.
      if start > 0, kept > 0 {
        _ = unsafe memmove(
          all.baseAddress.unsafelyUnwrapped,
          all.baseAddress.unsafelyUnwrapped + start,
          kept
        )
      }
      while true {
        let size = unsafe Glibc.read(
          number,
          all.baseAddress.unsafelyUnwrapped + kept,
          all.count - kept
        )
        if size >= 0 { return size }
        code = errno
        if code != EINTR { return size }
      }
    }
    range = 0..<kept + max(size, 0)
    if size >= 0 { return size }
    if code == EAGAIN { return nil }
    throw SystemError(call: "read", code: code, subject: "descriptor \(number)")
  }
}
