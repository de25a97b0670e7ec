import CLinux
import Glibc
public import HostOS

/// A list of guest ranges for scattered host I/O, so that file data goes to and from guest RAM
/// without a copy and no pointer leaves this module.
///
/// Owned by one queue's thread and used again for each request: after the first few requests it
/// allocates nothing. The memory it was made for stays alive as long as it.
@safe
public struct GuestIOVector: ~Copyable {
  let memory: GuestMemory
  var segments: [iovec]
  // Where the ranges are in the guest; kept only where writes are noted.
  var ranges: [(address: GuestAddress, count: UInt64)] = []

  /// The bytes in all ranges together.
  public internal(set) var count: UInt64 = 0

  /// The kernel's limit on segments in one call (`UIO_MAXIOV`).
  public static var segmentLimit: Int { 1024 }

  /// Makes an empty list over `memory`.
  public init(_ memory: GuestMemory) {
    self.memory = memory
    unsafe segments = []
  }

  /// Forgets all ranges, keeping the storage.
  public mutating func removeAll() {
    unsafe segments.removeAll(keepingCapacity: true)
    ranges.removeAll(keepingCapacity: true)
    count = 0
  }

  /// Adds `count` bytes at `address`, in as many segments as they have in the host.
  ///
  /// - Throws: ``GuestMemoryError`` if any byte is not RAM; the list is then unchanged.
  public mutating func append(
    _ address: GuestAddress,
    count: UInt64
  ) throws(GuestMemoryError) {
    guard count <= UInt64(Int.max) - self.count, memory.contains(address, count: count) else {
      throw GuestMemoryError(address: address, count: count)
    }
    var done: UInt64 = 0
    while done < count {
      let run = unsafe try memory.run(at: address &+ done, atMost: count - done)
      unsafe segments.append(iovec(iov_base: run.baseAddress, iov_len: run.count))
      done += UInt64(run.count)
    }
    if memory.isLogged { ranges.append((address, count)) }
    self.count += count
  }

  /// Notes that the ranges were written, where the memory's writes are noted (``DirtyLog``).
  ///
  /// To be called when host I/O into them has ended, however it did; ``read(from:at:)`` does it itself.
  public func noteWritten() {
    for range in ranges { memory.markDirty(range.address, count: range.count) }
  }

  /// Reads from `descriptor` at `offset` into the ranges until they are full or the file ends.
  ///
  /// - Returns: The bytes read; fewer than ``count`` only at the end of the file.
  public mutating func read(
    from descriptor: Int32,
    at offset: UInt64
  ) throws(SystemError) -> UInt64 {
    defer { noteWritten() }
    return unsafe try transfer(offset, "preadv") { segments, position in
      unsafe preadv(descriptor, segments.baseAddress, Int32(segments.count), position)
    }
  }

  /// Writes all of the ranges to `descriptor` at `offset`.
  ///
  /// - Returns: The bytes written; fewer than ``count`` only if the file takes no more.
  public mutating func write(
    to descriptor: Int32,
    at offset: UInt64
  ) throws(SystemError) -> UInt64 {
    unsafe try transfer(offset, "pwritev") { segments, position in
      unsafe pwritev(descriptor, segments.baseAddress, Int32(segments.count), position)
    }
  }

  /// Repeats a partial call until all is done; the segments are used up by it.
  private mutating func transfer(
    _ offset: UInt64,
    _ call: StaticString,
    _ body: (UnsafeBufferPointer<iovec>, off_t) -> Int
  ) throws(SystemError) -> UInt64 {
    var done: UInt64 = 0
    var first = 0
    while unsafe first < segments.count {
      guard let position = off_t(exactly: offset &+ done) else {
        throw SystemError(call: call.description, code: EINVAL, subject: "at \(offset)")
      }
      let size = try retrying(call, "at \(position)") {
        // SAFETY: the segments point into the mapping that `memory` keeps alive.
        unsafe segments.withUnsafeBufferPointer { all in
          let last = min(all.count, first + Self.segmentLimit)
          return unsafe body(UnsafeBufferPointer(rebasing: all[first..<last]), position)
        }
      }
      guard size > 0 else { break }
      done += UInt64(size)
      var left = size
      while left > 0, unsafe left >= segments[first].iov_len {
        left -= unsafe segments[first].iov_len
        first += 1
      }
      if left > 0 {
        unsafe segments[first].iov_base += left
        unsafe segments[first].iov_len -= left
      }
    }
    return done
  }
}
