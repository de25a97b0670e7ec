import CLinux
import Glibc
public import HostOS

/// Transfers by calls that return when they are done.
extension GuestIOVector {
  /// Reads from `descriptor` at `offset` into the ranges until they are full or the file ends.
  ///
  /// - Returns: The bytes read; fewer than ``count`` was only at the end of the file.
  public mutating func read(
    from descriptor: Int32,
    at offset: UInt64
  ) throws(SystemError) -> UInt64 {
    defer { noteWritten() }
    return try transfer(offset, "preadv") { vector, offset in
      vector.readPart(from: descriptor, at: offset)
    }
  }

  /// Writes all of the ranges to `descriptor` at `offset`.
  ///
  /// - Returns: The bytes written; fewer than ``count`` was only if the file takes no more.
  public mutating func write(
    to descriptor: Int32,
    at offset: UInt64
  ) throws(SystemError) -> UInt64 {
    try transfer(offset, "pwritev") { vector, offset in
      vector.writePart(to: descriptor, at: offset)
    }
  }

  /// Reads once, as much as the kernel gives; that is to be used up with ``skip(_:)``.
  ///
  /// - Parameters:
  ///   - descriptor: The file.
  ///   - offset: The first byte.
  ///   - limit: How many bytes at most.
  ///   - flags: How.
  /// - Returns: The bytes read, or a negative errno; never `EINTR`.
  public borrowing func readPart(
    from descriptor: Int32,
    at offset: UInt64,
    atMost limit: UInt64 = .max,
    flags: TransferFlags = []
  ) -> Int {
    unsafe part(offset, limit) { segments, position in
      // The kernel need not copy a list of one.
      segments.count == 1 && flags.isEmpty
        ? unsafe pread(descriptor, segments[0].iov_base, segments[0].iov_len, position)
        : unsafe apus_preadv2(
          descriptor,
          segments.baseAddress,
          Int32(segments.count),
          position,
          flags.rawValue
        )
    }
  }

  /// Writes once, as much as the kernel takes; that is to be used up with ``skip(_:)``.
  ///
  /// - Parameters:
  ///   - descriptor: The file.
  ///   - offset: The first byte.
  ///   - limit: How many bytes at most.
  ///   - flags: How.
  /// - Returns: The bytes written, or a negative errno; never `EINTR`.
  public borrowing func writePart(
    to descriptor: Int32,
    at offset: UInt64,
    atMost limit: UInt64 = .max,
    flags: TransferFlags = []
  ) -> Int {
    unsafe part(offset, limit) { segments, position in
      segments.count == 1 && flags.isEmpty
        ? unsafe pwrite(descriptor, segments[0].iov_base, segments[0].iov_len, position)
        : unsafe apus_pwritev2(
          descriptor,
          segments.baseAddress,
          Int32(segments.count),
          position,
          flags.rawValue
        )
    }
  }

  /// Repeats a partial call until all is done.
  private mutating func transfer(
    _ offset: UInt64,
    _ call: StaticString,
    _ body: (inout GuestIOVector, UInt64) -> Int
  ) throws(SystemError) -> UInt64 {
    var done: UInt64 = 0
    while count > 0 {
      let size = body(&self, offset &+ done)
      guard size >= 0 else {
        throw SystemError(
          call: call.description,
          code: Int32(truncatingIfNeeded: -size),
          subject: "at \(offset &+ done)"
        )
      }
      guard size > 0 else { break }
      skip(UInt64(size))
      done += UInt64(size)
    }
    return done
  }

  /// Makes one call with at most `limit` bytes of what is left.
  private borrowing func part(
    _ offset: UInt64,
    _ limit: UInt64,
    _ body: (UnsafeBufferPointer<iovec>, off_t) -> Int
  ) -> Int {
    guard count > 0 else { return 0 }
    guard let position = off_t(exactly: offset) else { return Int(-EINVAL) }
    guard limit >= count else {
      return unsafe call(cut(to: limit), position, body)
    }
    return unsafe call(segments, position, body)
  }

  private borrowing func call(
    _ segments: [iovec],
    _ position: off_t,
    _ body: (UnsafeBufferPointer<iovec>, off_t) -> Int
  ) -> Int {
    while true {
      // SAFETY: the segments point into the mapping that `memory` keeps alive.
      let size = unsafe segments.withUnsafeBufferPointer { all in
        unsafe body(
          UnsafeBufferPointer(rebasing: all[..<min(all.count, Self.segmentLimit)]),
          position
        )
      }
      if size >= 0 { return size }
      let code = errno
      if code != EINTR { return Int(-code) }
    }
  }

  /// The segments of the first `limit` bytes.
  private borrowing func cut(to limit: UInt64) -> [iovec] {
    var left = Int(limit)
    var part = unsafe [iovec]()
    for index in unsafe segments.indices where left > 0 {
      var segment = unsafe segments[index]
      unsafe segment.iov_len = min(segment.iov_len, left)
      left -= unsafe segment.iov_len
      unsafe part.append(segment)
    }
    return unsafe part
  }
}
