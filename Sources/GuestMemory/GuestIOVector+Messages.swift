import CLinux
import Glibc
public import HostOS

/// Messages such as network frames: one call moves one of them, whole, and the ranges stay as they
/// are unless told otherwise.
extension GuestIOVector {
  /// The most segments that a message may be spread over; one is left for what does not fit.
  public static var messageSegmentLimit: Int { segmentLimit - 2 }

  /// How many segments the ranges have in the host.
  public var segmentCount: Int { unsafe segments.count }

  /// Receives one message into the ranges, with one call.
  ///
  /// - Parameters:
  ///   - descriptor: Where to read; non-blocking.
  ///   - offset: The byte of the ranges where the message begins.
  ///   - overflow: Takes what does not fit in the ranges, from its first byte on.
  /// - Returns: The bytes of the message, of which as many are in the ranges as there is room for; 0
  ///   at the end of a stream; `nil` if there is none now.
  /// - Throws: `SystemError` if there never will be.
  public mutating func receive(
    from descriptor: Int32,
    at offset: UInt64 = 0,
    overflow: inout [UInt8]
  ) throws(SystemError) -> Int? {
    precondition(segmentCount <= Self.messageSegmentLimit, "\(segmentCount) segments")
    guard offset == 0 else {
      var rest = self.copy()
      rest.removeFirst(offset)
      return try rest.receive(from: descriptor, overflow: &overflow)
    }
    var code: Int32 = 0
    let size = unsafe overflow.withUnsafeMutableBytes { rest in
      unsafe segments.append(iovec(iov_base: rest.baseAddress, iov_len: rest.count))
      defer { _ = unsafe segments.removeLast() }
      return unsafe segments.withUnsafeBufferPointer { all in
        while true {
          // SAFETY: the segments are those of the mapping that `memory` keeps alive, and `rest`.
          let size = unsafe readv(descriptor, all.baseAddress, Int32(all.count))
          if size >= 0 { return size }
          code = errno
          if code != EINTR { return size }
        }
      }
    }
    if size > 0 { noteWritten(at: 0, count: size) }
    return try Self.outcome(size, code, "readv", descriptor)
  }

  /// Sends the ranges as one message, with one call, after the bytes of `prefix`.
  ///
  /// - Returns: The bytes that were taken, those of `prefix` included: all of them, but for a stream;
  ///   `nil` if nothing can be taken now.
  public mutating func send(
    to descriptor: Int32,
    after prefix: [UInt8] = []
  ) throws(SystemError) -> Int? {
    precondition(segmentCount <= Self.messageSegmentLimit, "\(segmentCount) segments")
    var code: Int32 = 0
    let size = unsafe prefix.withUnsafeBytes { first in
      if !prefix.isEmpty {
        // Only read from.
        let start = unsafe UnsafeMutableRawPointer(mutating: first.baseAddress)
        unsafe segments.insert(iovec(iov_base: start, iov_len: first.count), at: 0)
      }
      defer { if !prefix.isEmpty { _ = unsafe segments.removeFirst() } }
      return unsafe segments.withUnsafeBufferPointer { all in
        while true {
          // SAFETY: the segments are `first` and those of the mapping that `memory` keeps alive.
          let size = unsafe writev(descriptor, all.baseAddress, Int32(all.count))
          if size >= 0 { return size }
          code = errno
          if code != EINTR { return size }
        }
      }
    }
    return try Self.outcome(size, code, "writev", descriptor)
  }

  /// Forgets the first `count` bytes, or all.
  public mutating func removeFirst(_ count: UInt64) {
    var left = Int(clamping: min(count, self.count))
    self.count -= UInt64(left)
    removeFirstRanges(UInt64(left))
    var done = 0
    while unsafe done < segments.count, unsafe left >= segments[done].iov_len {
      left -= unsafe segments[done].iov_len
      done += 1
    }
    unsafe segments.removeSubrange(0..<done)
    if left > 0 {
      unsafe segments[0].iov_base += left
      unsafe segments[0].iov_len -= left
    }
  }

  /// Forgets the last `count` bytes, or all.
  public mutating func removeLast(_ count: UInt64) {
    var left = Int(clamping: min(count, self.count))
    self.count -= UInt64(left)
    removeLastRanges(UInt64(left))
    while left > 0, let last = unsafe segments.last {
      guard unsafe left < last.iov_len else {
        left -= unsafe last.iov_len
        _ = unsafe segments.removeLast()
        continue
      }
      unsafe segments[segments.count - 1].iov_len -= left
      left = 0
    }
  }

  /// Copies bytes from the ranges, from byte `offset` of them on, until `buffer` is full or they end.
  ///
  /// - Returns: The number of bytes copied.
  public func load(at offset: UInt64, into buffer: inout MutableRawSpan) -> Int {
    unsafe buffer.withUnsafeMutableBytes { target in
      unsafe forEachRun(from: offset, count: target.count) { run, done in
        // SAFETY: `run.count` bytes are left in the buffer from `done`, and in RAM.
        unsafe target.baseAddress.unsafelyUnwrapped.advanced(by: done)
          .copyMemory(from: run.baseAddress.unsafelyUnwrapped, byteCount: run.count)
      }
    }
  }

  /// Copies `bytes` into the ranges, from byte `offset` of them on, until either ends.
  ///
  /// - Parameters:
  ///   - bytes: What is copied.
  ///   - offset: Where in the ranges it goes.
  ///   - isNoted: Whether it is noted here that the bytes were written; otherwise ``noteWritten()`` is called later.
  /// - Returns: The number of bytes copied.
  @discardableResult
  public func store(_ bytes: RawSpan, at offset: UInt64, isNoted: Bool = true) -> Int {
    let size = unsafe bytes.withUnsafeBytes { source in
      unsafe forEachRun(from: offset, count: source.count) { run, done in
        // SAFETY: `run.count` bytes are left in `bytes` from `done`, and in RAM.
        unsafe run.baseAddress.unsafelyUnwrapped.copyMemory(
          from: source.baseAddress.unsafelyUnwrapped.advanced(by: done),
          byteCount: run.count
        )
      }
    }
    if isNoted { noteWritten(at: offset, count: size) }
    return size
  }

  private func copy() -> GuestIOVector {
    var copy = GuestIOVector(memory)
    unsafe copy.segments = segments
    copy.ranges = ranges
    copy.count = count
    return copy
  }

  /// Notes that `count` bytes from byte `offset` of the ranges on were written, where that is noted.
  private func noteWritten(at offset: UInt64, count: Int) {
    var (skip, left) = (offset, UInt64(count))
    for range in ranges where left > 0 {
      guard skip < range.count else {
        skip -= range.count
        continue
      }
      let part = min(range.count - skip, left)
      range.noteWritten(skip, count: part, in: memory)
      left -= part
      skip = 0
    }
  }

  private mutating func removeFirstRanges(_ count: UInt64) {
    var left = count
    while let first = ranges.first, left > 0 {
      guard left < first.count else {
        left -= first.count
        ranges.removeFirst()
        continue
      }
      ranges[0].removeFirst(left)
      left = 0
    }
  }

  private mutating func removeLastRanges(_ count: UInt64) {
    var left = count
    while let last = ranges.last, left > 0 {
      guard left < last.count else {
        left -= last.count
        ranges.removeLast()
        continue
      }
      ranges[ranges.count - 1].count = last.count - left
      left = 0
    }
  }

  /// Hands `body` the runs of the ranges from byte `offset` on, each with how many bytes came before.
  private func forEachRun(
    from offset: UInt64,
    count: Int,
    _ body: (UnsafeMutableRawBufferPointer, Int) -> Void
  ) -> Int {
    var (skip, done) = (offset, 0)
    for index in unsafe 0..<segments.count where done < count {
      let segment = unsafe segments[index]
      let size = unsafe segment.iov_len
      guard skip < UInt64(size) else {
        skip -= UInt64(size)
        continue
      }
      let length = min(size - Int(skip), count - done)
      guard length > 0, let base = unsafe segment.iov_base else { continue }
      unsafe body(UnsafeMutableRawBufferPointer(start: base + Int(skip), count: length), done)
      done += length
      skip = 0
    }
    return done
  }

  private static func outcome(
    _ size: Int,
    _ code: Int32,
    _ call: StaticString,
    _ descriptor: Int32
  ) throws(SystemError) -> Int? {
    if size >= 0 { return size }
    if code == EAGAIN { return nil }
    throw SystemError(call: call.description, code: code, subject: "descriptor \(descriptor)")
  }
}
