import GuestMemory

/// Finding out what a back end that died has left.
extension PackedInflight {
  /// Sets up a new part, or finds out what a back end that died has left in it.
  ///
  /// - Parameters:
  ///   - start: Where the device stands, if the part is new.
  ///   - limit: The entries of the ring, which may be fewer than the region is for.
  ///   - memory: The region's.
  ///   - isAvailable: Whether the ring has at this place a descriptor that the device has not used.
  /// - Returns: Where the device fills the next used descriptor; and the entries of the chains that
  ///   are under way, the oldest first, with the descriptors that all of them have together.
  /// - Throws: ``VirtqueueError`` if the part is another queue's, or no back end can have left it so.
  mutating func recover(
    from start: PackedPosition,
    limit: UInt16,
    in memory: GuestMemory,
    _ isAvailable: (PackedPosition) -> Bool
  ) throws(VirtqueueError) -> (
    used: PackedPosition, chains: [UnfinishedChains.Chain], slots: UInt16
  ) {
    let version = memory.ringWord16(at: base &+ Header.version)
    guard version != 0 else {
      setUp(from: start, in: memory)
      return (start, [], 0)
    }
    let count = memory.ringWord16(at: base &+ Header.size)
    guard version == 1, count == size else {
      throw .foreignInflight(version: version, size: count, expected: size)
    }
    var used = position(Header.oldUsedIndex, Header.oldUsedWrap, in: memory)
    var head = memory.ringWord16(at: base &+ Header.oldFreeHead)
    let next = position(Header.usedIndex, Header.usedWrap, in: memory)
    // Where the driver saw the batch that was under way, it is done, though nobody noted it.
    if next != used, used.index < limit, !isAvailable(used) {
      used = next
      head = memory.ringWord16(at: base &+ Header.freeHead)
    }
    guard used.index < limit else {
      throw .badState(available: used.rawValue, used: used.rawValue, size: limit)
    }
    begin(at: head)
    memory.setRingWord16(head, at: base &+ Header.freeHead)
    settle(head, used, in: memory)
    clearFree(in: memory)
    let (chains, slots) = try chains(limit: limit, in: memory)
    return (used, chains, slots)
  }

  /// Whether any device has used this part before.
  func isInUse(in memory: GuestMemory) -> Bool { InflightRegion.isInUse(base, in: memory) }

  /// What is noted of descriptor `number` of the region: its address, and its last 8 bytes as they are
  /// in a ring; and the next entry of its list.
  func descriptor(
    _ number: UInt16,
    in memory: GuestMemory
  ) -> (address: UInt64, word: UInt64, next: UInt16) {
    let entry = entry(number)
    let length = UInt64(memory.ringWord32(at: entry &+ Entry.length))
    let id = UInt64(memory.ringWord16(at: entry &+ Entry.id))
    let flags = UInt64(memory.ringWord16(at: entry &+ Entry.flags))
    return (
      memory.ringWord64(at: entry &+ Entry.address), length | id << 32 | flags << 48,
      memory.ringWord16(at: entry &+ Entry.next)
    )
  }

  /// How many descriptors the chain has whose first entry this is.
  private func count(of number: UInt16, in memory: GuestMemory) -> UInt16 {
    memory.ringWord16(at: entry(number) &+ Entry.count)
  }

  private mutating func setUp(from start: PackedPosition, in memory: GuestMemory) {
    for number in 0..<size {
      memory.setRingWord16(number &+ 1, at: entry(number) &+ Entry.next)
    }
    memory.setRingWord16(size, at: base &+ Header.size)
    memory.setRingWord16(0, at: base &+ Header.freeHead)
    settle(0, start, in: memory)
    // Last: with it the part is in use.
    memory.setRingWord16(1, at: base &+ Header.version)
    begin(at: 0)
  }

  /// Nothing in the list of free entries is under way.
  private func clearFree(in memory: GuestMemory) {
    var number = freeHead
    for _ in 0..<size {
      guard number < size else { return }
      memory.setFlag(0, at: entry(number) &+ Entry.inflight)
      number = memory.ringWord16(at: entry(number) &+ Entry.next)
    }
  }

  /// The chains that are under way, in the order in which they were taken.
  private mutating func chains(
    limit: UInt16,
    in memory: GuestMemory
  ) throws(VirtqueueError) -> ([UnfinishedChains.Chain], UInt16) {
    var found: [(counter: UInt64, chain: UnfinishedChains.Chain)] = []
    var slots = 0
    for number in 0..<size where memory.flag(at: entry(number) &+ Entry.inflight) == 1 {
      let count = count(of: number, in: memory)
      slots += Int(count)
      guard count > 0, slots <= Int(limit) else {
        throw .badInflight(chain: number, descriptors: count, size: limit)
      }
      let chain = UnfinishedChains.Chain(number: number, slots: count)
      found.append((memory.ringWord64(at: entry(number) &+ Entry.counter), chain))
    }
    found.sort { ($0.counter, $0.chain.number) < ($1.counter, $1.chain.number) }
    counter = (found.last?.counter ?? 0) &+ 1
    return (found.map(\.chain), UInt16(slots))
  }

  private func position(
    _ index: UInt64,
    _ wrap: UInt64,
    in memory: GuestMemory
  ) -> PackedPosition {
    let isWrapped = memory.flag(at: base &+ wrap) & 1 != 0
    let number = min(memory.ringWord16(at: base &+ index), 0x7FFF)
    return PackedPosition(rawValue: number | (isWrapped ? 0x8000 : 0))
  }
}
