import CLinux
import Glibc
import HostOS

/// A list of guest ranges for scattered host I/O, so that file data goes to and from guest RAM
/// without a copy and no pointer leaves this module but through ``singleRun()``.
///
/// Owned by one queue's thread and used again for each request: after the first few requests it
/// allocates nothing. The memory it was made for stays alive as long as it. A transfer uses the
/// ranges up from the front: what is left of them can be given to the next.
@safe
public struct GuestIOVector: ~Copyable {
  let memory: GuestMemory
  var segments: [iovec]
  // Where the ranges are in the guest; kept only where writes are noted.
  var ranges: [(address: GuestAddress, count: UInt64)] = []

  /// The bytes in all ranges together, as far as they are not used up.
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

  /// Uses the first `count` bytes up, or all: transfers go on after them.
  ///
  /// What is noted as written stays all of the ranges.
  public mutating func skip(_ count: UInt64) {
    guard count < self.count else {
      unsafe segments.removeAll(keepingCapacity: true)
      self.count = 0
      return
    }
    self.count -= count
    var left = Int(count)
    var done = 0
    while unsafe left >= segments[done].iov_len {
      left -= unsafe segments[done].iov_len
      done += 1
    }
    unsafe segments.removeSubrange(0..<done)
    unsafe segments[0].iov_base += left
    unsafe segments[0].iov_len -= left
  }
}
