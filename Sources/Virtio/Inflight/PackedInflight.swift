import GuestMemory
import Synchronization

/// What a packed queue notes about its chains (vhost-user, `QueueRegionPacked`): a header of 32
/// bytes, then 32 bytes for each descriptor that is under way.
///
/// Entries that are free form a list, from which a chain takes as many as it has descriptors. What it
/// takes is settled only with its last descriptor. What a batch gives back joins the list only when the
/// driver is about to see the batch, so that no other chain can take it before; until the driver does,
/// the header still has the old values, to which recovery goes back.
struct PackedInflight {
  static var headerCount: UInt64 { 32 }
  static var entryCount: UInt64 { 32 }

  /// The offsets in the header.
  enum Header {
    static var version: UInt64 { 8 }
    static var size: UInt64 { 10 }
    static var freeHead: UInt64 { 12 }
    static var oldFreeHead: UInt64 { 14 }
    static var usedIndex: UInt64 { 16 }
    static var oldUsedIndex: UInt64 { 18 }
    static var usedWrap: UInt64 { 20 }
    static var oldUsedWrap: UInt64 { 21 }
  }

  /// The offsets in an entry.
  enum Entry {
    static var inflight: UInt64 { 0 }
    static var next: UInt64 { 2 }
    static var last: UInt64 { 4 }
    static var count: UInt64 { 6 }
    static var counter: UInt64 { 8 }
    /// The last 8 bytes of the descriptor in another order: ID, flags, length.
    static var id: UInt64 { 16 }
    static var flags: UInt64 { 18 }
    static var length: UInt64 { 20 }
    static var address: UInt64 { 24 }
  }

  let base: GuestAddress
  let size: UInt16
  var counter: UInt64 = 0
  // The list of free entries as we know it; an entry that another wrote is checked before its use.
  var freeHead: UInt16 = 0
  // The first entry of the chain that is being taken, or of the next one.
  private var chainHead: UInt16 = 0
  private var chainCount: UInt16 = 0
  // The chains that were pushed and not published, from the last to the first: how many, the first entry
  // of the last one, and the last entry of the first one.
  private var batch: UInt16 = 0
  private var batchHead: UInt16 = 0
  private var batchEnd: UInt16 = 0

  /// For a region of queues of `size` entries; notes nothing yet: call ``recover(from:limit:in:_:)`` before anything else.
  init(at base: GuestAddress, size: UInt16) {
    self.base = base
    self.size = size
  }

  /// Stands at the head of the list of free entries.
  mutating func begin(at head: UInt16) {
    freeHead = head
    chainHead = head
    chainCount = 0
  }

  /// Notes one descriptor of a chain that is being taken: its address, and its last 8 bytes.
  mutating func note(_ address: UInt64, _ word: UInt64, in memory: GuestMemory) {
    guard freeHead < size else { return }
    let head = entry(chainHead)
    chainCount &+= 1
    memory.setRingWord16(chainCount, at: head &+ Entry.count)
    memory.setRingWord16(freeHead, at: head &+ Entry.last)
    let own = entry(freeHead)
    memory.setRingWord64(address, at: own &+ Entry.address)
    memory.setRingWord32(UInt32(truncatingIfNeeded: word), at: own &+ Entry.length)
    memory.setRingWord16(UInt16(truncatingIfNeeded: word >> 32), at: own &+ Entry.id)
    memory.setRingWord16(UInt16(truncatingIfNeeded: word >> 48), at: own &+ Entry.flags)
    freeHead = memory.ringWord16(at: own &+ Entry.next)
  }

  /// Notes that the chain is complete, and returns its first entry.
  mutating func take(in memory: GuestMemory) -> UInt16 {
    let taken = chainHead
    guard taken < size else { return taken }
    let head = entry(taken)
    memory.setRingWord64(counter, at: head &+ Entry.counter)
    counter &+= 1
    memory.setFlag(1, at: head &+ Entry.inflight)
    memory.setRingWord16(freeHead, at: base &+ Header.freeHead)
    // With this the chain is taken: recovery goes back to it.
    memory.setRingWord16(freeHead, at: base &+ Header.oldFreeHead)
    begin(at: freeHead)
    return taken
  }

  /// Forgets the descriptors of a chain that turned out to be none.
  mutating func abandon() { begin(at: chainHead) }

  /// Undoes the ``take(in:)`` that returned this entry, of the last chain that is out.
  mutating func putBack(_ taken: UInt16, in memory: GuestMemory) {
    guard taken < size else { return }
    let last = memory.ringWord16(at: entry(taken) &+ Entry.last)
    guard last < size else { return }
    // What was given back since it was taken is behind it.
    memory.setRingWord16(freeHead, at: entry(last) &+ Entry.next)
    memory.setRingWord16(taken, at: base &+ Header.freeHead)
    memory.setRingWord16(taken, at: base &+ Header.oldFreeHead)
    // Last: recovery clears this flag of whatever is free.
    memory.setFlag(0, at: entry(taken) &+ Entry.inflight)
    counter &-= 1
    begin(at: taken)
  }

  /// Notes that a chain's used descriptor was written, which the driver does not see yet.
  mutating func push(_ taken: UInt16, in memory: GuestMemory) {
    guard taken < size else { return }
    let last = memory.ringWord16(at: entry(taken) &+ Entry.last)
    guard last < size else { return }
    if batch == 0 {
      batchEnd = last
    } else {
      // Recovery does not look there: a chain under way ends by its count.
      memory.setRingWord16(batchHead, at: entry(last) &+ Entry.next)
    }
    batchHead = taken
    batch &+= 1
  }

  /// Notes where the device will stand once the driver sees what was pushed; before it does.
  mutating func willPublish(_ used: PackedPosition, in memory: GuestMemory) {
    if batch > 0 {
      memory.setRingWord16(chainHead, at: entry(batchEnd) &+ Entry.next)
      memory.setRingWord16(batchHead, at: base &+ Header.freeHead)
    }
    memory.setFlag(used.wrap ? 1 : 0, at: base &+ Header.usedWrap)
    memory.setRingWord16(used.index, at: base &+ Header.usedIndex)
  }

  /// Notes that the driver sees it.
  mutating func didPublish(_ used: PackedPosition, in memory: GuestMemory) {
    var head = batchHead
    for _ in 0..<batch {
      guard head < size else { break }
      memory.setFlag(0, at: entry(head) &+ Entry.inflight)
      let last = memory.ringWord16(at: entry(head) &+ Entry.last)
      guard last < size else { break }
      head = memory.ringWord16(at: entry(last) &+ Entry.next)
    }
    if batch > 0 { begin(at: batchHead) }
    batch = 0
    settle(chainHead, used, in: memory)
  }

  /// Makes what is under way the state to go back to.
  func settle(_ head: UInt16, _ used: PackedPosition, in memory: GuestMemory) {
    memory.setRingWord16(head, at: base &+ Header.oldFreeHead)
    // The index and its wrap counter, and the old ones, in one store: a death between two of them would
    // leave a place where the device never stood.
    let (index, wrap) = (UInt64(used.index), used.wrap ? 1 : 0 as UInt64)
    memory.setRingWord64(
      index | index << 16 | wrap << 32 | wrap << 40,
      at: base &+ Header.usedIndex
    )
  }

  @inline(__always)
  func entry(_ number: UInt16) -> GuestAddress {
    base &+ (Self.headerCount &+ Self.entryCount &* UInt64(number))
  }
}
