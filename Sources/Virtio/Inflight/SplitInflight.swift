import GuestMemory
import Synchronization

/// What a split queue notes about its chains (vhost-user, `QueueRegionSplit`): a header of 16 bytes,
/// then for each descriptor 16 bytes, of which a chain's are those of its first one.
struct SplitInflight {
  static var headerCount: UInt64 { 16 }
  static var entryCount: UInt64 { 16 }

  /// The offsets in the header.
  private enum Header {
    static var version: UInt64 { 8 }
    static var size: UInt64 { 10 }
    static var lastBatchHead: UInt64 { 12 }
    static var usedIndex: UInt64 { 14 }
  }

  /// The offsets in an entry.
  private enum Entry {
    static var inflight: UInt64 { 0 }
    static var next: UInt64 { 6 }
    static var counter: UInt64 { 8 }
  }

  private let base: GuestAddress
  private let size: UInt16
  private var counter: UInt64 = 0
  private var lastBatchHead: UInt16 = 0
  private var batch: UInt16 = 0

  /// For a region of queues of `size` entries; notes nothing yet: call ``recover(used:limit:in:)`` before anything else.
  init(at base: GuestAddress, size: UInt16) {
    self.base = base
    self.size = size
  }

  /// Sets up a new part, or finds out what a back end that died has left in it.
  ///
  /// - Parameters:
  ///   - used: The used index as the ring has it.
  ///   - limit: The most chains that the ring can have out.
  ///   - memory: The region's.
  /// - Returns: The first descriptors of the chains that are under way, the oldest first.
  /// - Throws: ``VirtqueueError`` if the part is another queue's.
  mutating func recover(
    used: UInt16,
    limit: UInt16,
    in memory: GuestMemory
  ) throws(VirtqueueError) -> [UInt16] {
    let version = memory.ringWord16(at: base &+ Header.version)
    guard version != 0 else {
      memory.setRingWord16(size, at: base &+ Header.size)
      memory.setRingWord16(used, at: base &+ Header.usedIndex)
      // Last: with it the part is in use.
      memory.setRingWord16(1, at: base &+ Header.version)
      return []
    }
    let count = memory.ringWord16(at: base &+ Header.size)
    guard version == 1, count == size else {
      throw .foreignInflight(version: version, size: count, expected: size)
    }
    lastBatchHead = memory.ringWord16(at: base &+ Header.lastBatchHead)
    settle(used: used, in: memory)
    let heads = heads(in: memory)
    guard heads.count <= Int(limit) else {
      throw .tooManyInflight(count: heads.count, size: limit)
    }
    return heads
  }

  /// Whether any device has used this part before.
  func isInUse(in memory: GuestMemory) -> Bool { InflightRegion.isInUse(base, in: memory) }

  /// Notes that a chain was taken.
  @inline(__always)
  mutating func take(_ head: UInt16, in memory: GuestMemory) {
    let entry = entry(head)
    memory.setRingWord64(counter, at: entry &+ Entry.counter)
    counter &+= 1
    // Releasing, and last: an entry that counts has its place in the order.
    memory.setFlag(1, at: entry &+ Entry.inflight)
  }

  /// Undoes the last ``take(_:in:)``.
  mutating func putBack(_ head: UInt16, in memory: GuestMemory) {
    memory.setFlag(0, at: entry(head) &+ Entry.inflight)
    counter &-= 1
  }

  /// Notes that a chain's entry was written to the used ring, which the driver does not see yet.
  @inline(__always)
  mutating func push(_ head: UInt16, in memory: GuestMemory) {
    memory.setRingWord16(lastBatchHead, at: entry(head) &+ Entry.next)
    lastBatchHead = head
    memory.setRingWord16(head, at: base &+ Header.lastBatchHead)
    batch &+= 1
  }

  /// Notes that the driver sees all that were pushed; `used` is the index that says so.
  @inline(__always)
  mutating func publish(used: UInt16, in memory: GuestMemory) {
    clearBatch(batch, in: memory)
    batch = 0
    memory.setRingWord16(used, at: base &+ Header.usedIndex)
  }

  /// Ends a batch of which the driver saw the index, and nobody noted it.
  private func settle(used: UInt16, in memory: GuestMemory) {
    let missing = used &- memory.ringWord16(at: base &+ Header.usedIndex)
    guard missing > 0 else { return }
    // No batch is longer than the queue.
    clearBatch(min(missing, size), in: memory)
    memory.setRingWord16(used, at: base &+ Header.usedIndex)
  }

  /// Goes back through the chains of a batch.
  private func clearBatch(_ count: UInt16, in memory: GuestMemory) {
    var head = lastBatchHead
    for _ in 0..<count {
      guard head < size else { return }
      memory.setFlag(0, at: entry(head) &+ Entry.inflight)
      head = memory.ringWord16(at: entry(head) &+ Entry.next)
    }
  }

  /// The chains that are under way, in the order in which they were taken.
  private mutating func heads(in memory: GuestMemory) -> [UInt16] {
    var found: [(counter: UInt64, head: UInt16)] = []
    for head in 0..<size where memory.flag(at: entry(head) &+ Entry.inflight) == 1 {
      found.append((memory.ringWord64(at: entry(head) &+ Entry.counter), head))
    }
    found.sort { $0 < $1 }
    counter = (found.last?.counter ?? 0) &+ 1
    return found.map(\.head)
  }

  @inline(__always)
  private func entry(_ head: UInt16) -> GuestAddress {
    base &+ (Self.headerCount &+ Self.entryCount &* UInt64(head))
  }
}

extension GuestMemory {
  @inline(__always)
  func flag(at address: GuestAddress) -> UInt8 { (try? load8(at: address)) ?? 0 }

  /// Sets a byte after everything that was stored before.
  @inline(__always)
  func setFlag(_ value: UInt8, at address: GuestAddress) {
    // Another process reads what a dead one wrote: what counts is the order in which the compiler and
    // this processor store, which a fence keeps everywhere.
    atomicMemoryFence(ordering: .releasing)
    try? store8(value, at: address)
  }
}
