import GuestMemory
import Synchronization

/// The device's side of a split ring (virtio 1.2, 2.7): where it lies, and where the device stands.
///
/// The barriers and their pairs in the driver:
/// - *available index*: the acquiring load of it in ``pop(into:isIndirectAllowed:)`` pairs with the
///   driver's write barrier between an entry of the available ring and the index (2.7.13.3, "write
///   barrier").
/// - *used index*: the releasing store of it in ``publish(in:)`` pairs with the driver's read
///   barrier between its load of the index and of the entry (2.7.14).
/// - *kick*: the fence in ``enableNotifications(in:)`` pairs with the driver's full barrier between
///   its store of the available index and its load of `avail_event` or `flags` (2.7.13.4).
/// - *interrupt*: the fence in ``needsInterrupt(in:)`` pairs with the driver's full barrier between
///   its store of `used_event` or `flags` and its last look at the used index (2.7.7.2).
struct SplitRing: ~Copyable {
  let size: UInt16
  let table: MemoryWindow
  // Where chains under way are noted. Always there, so that nothing is retained on a chain's way.
  private let region: GuestMemory
  private let isTracked: Bool
  private var inflight: SplitInflight
  private var unfinished = UnfinishedChains()
  private let available: MemoryWindow
  private let used: MemoryWindow
  private let hasEventIndex: Bool

  // Indices run freely from 0 to 65535 and wrap; the entry is the index modulo the size.
  private var nextAvailable: UInt16
  private var knownAvailable: UInt16
  private var nextUsed: UInt16
  private var isUnpublished = false
  private var unsignalled: UInt32 = 0

  /// Stands where the configuration's state says.
  init(_ configuration: VirtqueueConfiguration, in memory: GuestMemory) {
    let part = configuration.inflight?.part(of: configuration)
    region = configuration.inflight?.memory ?? memory
    isTracked = part != nil
    inflight = SplitInflight(
      at: part ?? GuestAddress(0),
      size: configuration.inflight?.queueSize ?? configuration.size
    )
    size = configuration.size
    let count = UInt64(configuration.size)
    // Of a packed queue, whose split ring nobody uses, these are structures of 4 bytes.
    let isSplit = !configuration.isPacked
    table = memory.ringWindow(configuration.descriptorTable, count: 16 * count)
    available = memory.ringWindow(configuration.availableRing, count: isSplit ? 6 + 2 * count : 4)
    used = memory.ringWindow(configuration.usedRing, count: isSplit ? 6 + 8 * count : 4)
    hasEventIndex = configuration.features.contains(.eventIndex)
    nextAvailable = configuration.state.available
    knownAvailable = configuration.state.available
    nextUsed = configuration.state.used
  }

  /// Whether chains of another device are left.
  var hasUnfinished: Bool { !unfinished.isEmpty }

  /// Where the ring stands.
  var state: VirtqueueState { VirtqueueState(available: nextAvailable, used: nextUsed) }

  /// Readies the device's part.
  func begin(in memory: GuestMemory) {
    // 2.7.10.1: with the event index, the flags are and stay 0.
    used.store16(0, 0, in: memory)
  }

  /// Takes up what another device has left under way.
  mutating func recover(in memory: GuestMemory) throws(VirtqueueError) {
    guard isTracked else { return }
    let isInUse = inflight.isInUse(in: region)
    let index = used.load16(2, in: memory)
    let heads = try inflight.recover(used: isInUse ? index : nextUsed, limit: size, in: region)
    guard isInUse else { return }
    // Whoever died could not say where it stood: what was taken is what was used and what was not.
    nextUsed = index
    nextAvailable = index &+ UInt16(truncatingIfNeeded: heads.count)
    knownAvailable = nextAvailable
    unfinished = UnfinishedChains(heads.map { UnfinishedChains.Chain(number: $0, slots: 1) })
  }

  /// Takes the next chain, if there is one.
  @inline(__always)
  mutating func pop(
    into chain: inout DescriptorChain,
    isIndirectAllowed: Bool
  ) throws(VirtqueueError) -> Bool {
    if isTracked, let oldest = unfinished.next() {
      try walk(from: oldest.number, into: &chain, isIndirectAllowed: isIndirectAllowed)
      chain.ticket.isUnfinished = true
      return true
    }
    if nextAvailable == knownAvailable {
      // Read once for all chains that it announces, so a batch costs one shared read.
      let index = available.load16(2, in: chain.memory)
      // 2.7.13: a driver has at most as many chains out as the queue has entries.
      guard index &- nextAvailable <= size else {
        throw .indexJump(from: nextAvailable, to: index, size: size)
      }
      knownAvailable = index
      guard index != nextAvailable else {
        chain.removeAll()
        return false
      }
    }
    // And so many in all, those under way included.
    guard nextAvailable &- nextUsed < size else { throw .tooManyChains(size: size) }
    let slot = UInt64(nextAvailable & (size &- 1))
    let head = available.load16(4 &+ 2 &* slot, in: chain.memory)
    try walk(from: head, into: &chain, isIndirectAllowed: isIndirectAllowed)
    nextAvailable &+= 1
    if isTracked { inflight.take(head, in: region) }
    return true
  }

  /// Undoes the last pop.
  mutating func putBack(_ head: UInt16) {
    if isTracked {
      guard !unfinished.putBack() else { return }
      inflight.putBack(head, in: region)
    }
    nextAvailable &-= 1
  }

  /// Undoes the pop of the last chain that is out.
  mutating func putBack(_ ticket: ChainTicket) {
    if isTracked {
      guard !ticket.isUnfinished else {
        unfinished.putBackAnyway()
        return
      }
      inflight.putBack(ticket.id, in: region)
    }
    nextAvailable &-= 1
  }

  /// Writes an entry of the used ring, which the driver does not see yet.
  @inline(__always)
  mutating func push(_ ticket: ChainTicket, written: UInt32, in memory: GuestMemory) {
    let slot = 4 &+ 8 &* UInt64(nextUsed & (size &- 1))
    // 2.7.8: the entry is the number of the first descriptor, and how much was written. Two words:
    // an entry is aligned to 4 bytes only.
    used.store32(UInt32(ticket.id), slot, in: memory)
    used.store32(written, slot &+ 4, in: memory)
    if isTracked { inflight.push(ticket.id, in: region) }
    nextUsed &+= 1
    isUnpublished = true
    if unsignalled < .max { unsignalled += 1 }
  }

  /// Shows the driver all entries that were pushed.
  @inline(__always)
  mutating func publish(in memory: GuestMemory) {
    guard isUnpublished else { return }
    isUnpublished = false
    // Releasing: the entries, and the data, are there before the index says so.
    used.store16(nextUsed, 2, in: memory)
    if isTracked { inflight.publish(used: nextUsed, in: region) }
  }

  /// Whether the driver wants an interrupt for what was published since the last time of asking.
  mutating func needsInterrupt(in memory: GuestMemory) -> Bool {
    let count = unsignalled
    guard count > 0 else { return false }
    unsignalled = 0
    // The index must be visible before we look whether the driver cares; see "interrupt" above.
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    guard hasEventIndex else {
      // 2.7.7.1: bit 0 of the driver's flags is VIRTQ_AVAIL_F_NO_INTERRUPT.
      return available.load16(0, in: memory) & 1 == 0
    }
    // 2.7.7.1: an interrupt is due when the used index passes `used_event`. After a whole turn of
    // the 16-bit index it has passed every value.
    guard count <= UInt32(UInt16.max) else { return true }
    let event = available.load16(4 &+ 2 &* UInt64(size), in: memory)
    let old = nextUsed &- UInt16(truncatingIfNeeded: count)
    return nextUsed &- event &- 1 < nextUsed &- old
  }

  /// Whether the driver seems to have made a chain available.
  func hasChains(in memory: GuestMemory) -> Bool {
    nextAvailable != knownAvailable || !unfinished.isEmpty
      || available.load16(2, in: memory) != nextAvailable
  }

  /// Asks for a kick, and returns whether chains came before the driver could see that.
  mutating func enableNotifications(in memory: GuestMemory) -> Bool {
    if hasEventIndex {
      // 2.7.10.1: `avail_event` follows the used ring's entries.
      used.store16(nextAvailable, 4 &+ 8 &* UInt64(size), in: memory)
    } else {
      used.store16(0, 0, in: memory)
    }
    // The wish must be visible before the last look; see "kick" above.
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    return !unfinished.isEmpty || available.load16(2, in: memory) != nextAvailable
  }

  /// Tells the driver not to kick.
  mutating func disableNotifications(in memory: GuestMemory) {
    // With the event index, an `avail_event` that stays behind has this effect (2.7.10).
    // Otherwise bit 0 of the device's flags is VIRTQ_USED_F_NO_NOTIFY.
    if !hasEventIndex { used.store16(1, 0, in: memory) }
  }
}
