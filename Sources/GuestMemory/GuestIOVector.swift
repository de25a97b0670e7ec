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
  var ranges: [NotedRange] = []

  /// A range of the guest's whose writes have to be told of.
  struct NotedRange {
    var address: GuestAddress
    var count: UInt64
    /// What stands for it here, if it is distant, and where in that it begins.
    var bounce: BounceMemory?
    var offset: UInt64 = 0

    /// Forgets the first bytes.
    mutating func removeFirst(_ size: UInt64) {
      address = address &+ size
      count -= size
      offset += size
    }

    /// Tells of `size` bytes, from the range's byte `start` on, that were written.
    func noteWritten(_ start: UInt64, count size: UInt64, in memory: GuestMemory) {
      guard let bounce else { return memory.markDirty(address &+ start, count: size) }
      // SAFETY: the range is as long as what stands for it, from its offset on. Whoever cannot be told of it does
      // not learn of the request's end either.
      let bytes = unsafe UnsafeRawBufferPointer(
        start: bounce.address + Int(offset + start),
        count: Int(size)
      )
      try? unsafe bounce.distant.write(bytes, at: address &+ start)
    }
  }

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
  /// - Parameters:
  ///   - address: The first byte.
  ///   - count: How many bytes.
  ///   - isRead: Whether the transfer is from guest memory, so that what is distant has to be here before.
  /// - Throws: ``GuestMemoryError`` if any byte is not RAM, or cannot be had, or too much is under way; the list is
  ///   then unchanged.
  public mutating func append(
    _ address: GuestAddress,
    count: UInt64,
    isRead: Bool = false
  ) throws(GuestMemoryError) {
    guard count <= UInt64(Int.max) - self.count, memory.contains(address, count: count) else {
      throw GuestMemoryError(address: address, count: count)
    }
    guard memory.distant == nil else {
      return try appendPieces(address, count: count, isRead: isRead)
    }
    var done: UInt64 = 0
    while done < count {
      let run = unsafe try memory.run(at: address &+ done, atMost: count - done)
      unsafe segments.append(iovec(iov_base: run.baseAddress, iov_len: run.count))
      done += UInt64(run.count)
    }
    if memory.isLogged { ranges.append(NotedRange(address: address, count: count)) }
    self.count += count
  }

  /// Adds what may be mapped or distant, piece by piece.
  private mutating func appendPieces(
    _ address: GuestAddress,
    count: UInt64,
    isRead: Bool
  ) throws(GuestMemoryError) {
    var done: UInt64 = 0
    do throws(GuestMemoryError) {
      while done < count {
        done += try appendPiece(address &+ done, atMost: count - done, isRead: isRead)
      }
    } catch {
      removeLast(done)
      throw GuestMemoryError(address: address, count: count)
    }
  }

  private mutating func appendPiece(
    _ address: GuestAddress,
    atMost limit: UInt64,
    isRead: Bool
  ) throws(GuestMemoryError) -> UInt64 {
    var size: UInt64
    if let run = unsafe try? memory.run(at: address, atMost: limit) {
      size = UInt64(run.count)
      unsafe segments.append(iovec(iov_base: run.baseAddress, iov_len: run.count))
      ranges.append(NotedRange(address: address, count: size))
    } else {
      let run = try memory.distantRun(at: address, atMost: limit)
      size = run.count
      guard let bounce = BounceMemory(size, for: run.memory) else {
        throw GuestMemoryError(address: address, count: size)
      }
      if isRead {
        // SAFETY: all of it is `size` bytes long.
        let buffer = unsafe UnsafeMutableRawBufferPointer(start: bounce.address, count: Int(size))
        unsafe try run.memory.read(at: address, into: buffer)
      }
      unsafe segments.append(iovec(iov_base: bounce.address, iov_len: Int(size)))
      ranges.append(NotedRange(address: address, count: size, bounce: bounce))
    }
    count += size
    return size
  }

  /// Notes that the ranges were written, where the memory's writes are noted (``DirtyLog``), or it is distant.
  ///
  /// To be called when host I/O into them has ended, however it did; ``read(from:at:)`` does it itself.
  public func noteWritten() {
    for range in ranges { range.noteWritten(0, count: range.count, in: memory) }
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
