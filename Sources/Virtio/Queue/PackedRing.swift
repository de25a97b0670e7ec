import GuestMemory
import Synchronization

/// The device's side of a packed ring (virtio 1.2, 2.8): where it lies, and where the device
/// stands.
///
/// The barriers and their pairs in the driver:
/// - *available*: the acquiring load of a first descriptor's flags in
///   ``pop(into:isIndirectAllowed:)`` pairs with the driver's write barrier before it stores them
///   (2.8.21.1).
/// - *used*: the releasing store of a batch's first flags in ``publish(in:)`` pairs with the
///   driver's read barrier after it found that descriptor used (2.8.22).
/// - *kick*: the fence in ``enableNotifications(in:)`` pairs with the driver's full barrier between
///   its store of a descriptor's flags and its load of the device's event suppression structure
///   (2.8.21.3.1).
/// - *interrupt*: the fence in ``needsInterrupt(in:)`` pairs with the driver's full barrier between
///   its store of its event suppression structure and its last look at the ring (2.8.22).
struct PackedRing: ~Copyable {
  /// The values of `desc_event_flags` (2.8.10).
  private enum EventFlags {
    static var enable: UInt32 { 0 }
    static var disable: UInt32 { 1 }
    static var descriptor: UInt32 { 2 }
  }

  let size: UInt16
  // Where chains under way are noted. Always there, so that nothing is retained on a chain's way.
  let region: GuestMemory
  let isTracked: Bool
  var inflight: PackedInflight
  private var unfinished = UnfinishedChains()
  let ring: MemoryWindow
  private let driverEvent: MemoryWindow
  private let deviceEvent: MemoryWindow
  private let hasEventIndex: Bool

  private(set) var nextAvailable: PackedPosition
  private var nextUsed: PackedPosition
  // Descriptors of chains that were popped and not pushed.
  private(set) var out: UInt16
  // What the last pop took.
  private var last: UInt16 = 0
  // The first used descriptor of a batch, which is held back until the batch is published.
  private var isUnpublished = false
  private var firstPlace: UInt64 = 0
  private var firstWord: UInt64 = 0
  private var unsignalled: UInt32 = 0

  /// Stands where the configuration's state says.
  init(_ configuration: VirtqueueConfiguration, in memory: GuestMemory) {
    let part = configuration.inflight?.part(of: configuration)
    region = configuration.inflight?.memory ?? memory
    isTracked = part != nil
    inflight = PackedInflight(
      at: part ?? GuestAddress(0),
      size: configuration.inflight?.queueSize ?? configuration.size
    )
    size = configuration.size
    ring = memory.ringWindow(configuration.descriptorTable, count: 16 * UInt64(configuration.size))
    driverEvent = memory.ringWindow(configuration.availableRing, count: 4)
    deviceEvent = memory.ringWindow(configuration.usedRing, count: 4)
    hasEventIndex = configuration.features.contains(.eventIndex)
    nextAvailable = PackedPosition(rawValue: configuration.state.available)
    nextUsed = PackedPosition(rawValue: configuration.state.used)
    out = nextAvailable.distance(from: nextUsed, size: size) ?? 0
  }

  /// Whether chains of another device are left.
  var hasUnfinished: Bool { !unfinished.isEmpty }

  /// Where the ring stands.
  var state: VirtqueueState {
    VirtqueueState(available: nextAvailable.rawValue, used: nextUsed.rawValue)
  }

  /// Readies the device's part.
  func begin(in memory: GuestMemory) {
    deviceEvent.store32(EventFlags.enable << 16, 0, in: memory)
  }

  /// Takes up what another device has left under way.
  mutating func recover(in memory: GuestMemory) throws(VirtqueueError) {
    guard isTracked else { return }
    let isInUse = inflight.isInUse(in: region)
    let ring = ring
    let found = try inflight.recover(from: nextUsed, limit: size, in: region) { position in
      let word = ring.load64(16 &* UInt64(position.index) &+ 8, in: memory)
      return Self.isAvailable(word, at: position)
    }
    guard isInUse else { return }
    // Whoever died could not say where it stood: what was taken is what was used and what was not.
    nextUsed = found.used
    nextAvailable = found.used
    nextAvailable.advance(by: found.slots, size: size)
    out = found.slots
    hideUnpublished(in: memory)
    unfinished = UnfinishedChains(found.chains)
  }

  /// Takes back the used descriptors of a batch that the driver did not see, before it finds them behind
  /// whatever comes in the place of the batch's first.
  ///
  /// All from the next used descriptor up to the next available one are the device's, and none of them
  /// is used.
  private func hideUnpublished(in memory: GuestMemory) {
    var position = nextUsed
    for _ in 0..<out {
      let place = place(of: position) &+ 8
      let word = ring.load64(place, in: memory)
      let flags = UInt16(truncatingIfNeeded: word >> 48)
      // 2.8.1: as the driver left it, available and not used; nothing else of it counts any more.
      if (flags & DescriptorFlag.available != 0) == position.wrap,
        (flags & DescriptorFlag.used != 0) == position.wrap
      {
        ring.store64(word ^ UInt64(DescriptorFlag.used) << 48, place, in: memory)
      }
      position.advance(by: 1, size: size)
    }
  }

  /// Takes the next chain, if there is one.
  @inline(__always)
  mutating func pop(
    into chain: inout DescriptorChain,
    isIndirectAllowed: Bool
  ) throws(VirtqueueError) -> Bool {
    if isTracked, let oldest = unfinished.next() {
      try walk(again: oldest, into: &chain, isIndirectAllowed: isIndirectAllowed)
      chain.ticket.isUnfinished = true
      return true
    }
    let word = ring.load64(place(of: nextAvailable) &+ 8, in: chain.memory)
    guard isAvailable(word) else {
      chain.removeAll()
      return false
    }
    try walk(from: word, into: &chain, isIndirectAllowed: isIndirectAllowed)
    if isTracked { chain.ticket.entry = inflight.take(in: region) }
    last = chain.ticket.slots
    out &+= last
    nextAvailable.advance(by: last, size: size)
    return true
  }

  /// Undoes the last pop.
  mutating func putBack(_ entry: UInt16, in memory: GuestMemory) {
    if isTracked {
      guard !unfinished.putBack() else { return }
      inflight.putBack(entry, in: region)
    }
    precondition(last > 0, "put back without a pop")
    nextAvailable.retreat(by: last, size: size)
    out &-= last
    last = 0
  }

  /// Undoes the pop of the last chain that is out.
  mutating func putBack(_ ticket: ChainTicket, in memory: GuestMemory) {
    if isTracked {
      guard !ticket.isUnfinished else {
        unfinished.putBackAnyway()
        return
      }
      inflight.putBack(ticket.entry, in: region)
    }
    precondition(ticket.slots > 0 && ticket.slots <= out, "put back without a pop")
    nextAvailable.retreat(by: ticket.slots, size: size)
    out &-= ticket.slots
    last = 0
  }

  /// Writes a used descriptor; a batch's first stays out of the ring, so that the driver sees none
  /// of them yet.
  @inline(__always)
  mutating func push(_ ticket: ChainTicket, written: UInt32, in memory: GuestMemory) {
    precondition(ticket.slots <= out, "a chain is completed twice")
    // 2.8.1: both bits are as the device's wrap counter. 2.8.3: the write flag says that there may
    // be data.
    var flags = nextUsed.wrap ? DescriptorFlag.available | DescriptorFlag.used : 0
    if ticket.isWritable { flags |= DescriptorFlag.write }
    let word = UInt64(written) | UInt64(ticket.id) << 32 | UInt64(flags) << 48
    let place = place(of: nextUsed) &+ 8
    if isUnpublished {
      ring.store64(word, place, in: memory)
    } else {
      isUnpublished = true
      firstPlace = place
      firstWord = word
    }
    if isTracked { inflight.push(ticket.entry, in: region) }
    // 2.8.6: one used descriptor for the chain, then on by as many as the chain has.
    nextUsed.advance(by: ticket.slots, size: size)
    out &-= ticket.slots
    unsignalled =
      unsignalled.addingReportingOverflow(UInt32(ticket.slots)).overflow
      ? .max : unsignalled &+ UInt32(ticket.slots)
  }

  /// Shows the driver all used descriptors that were pushed.
  @inline(__always)
  mutating func publish(in memory: GuestMemory) {
    guard isUnpublished else { return }
    isUnpublished = false
    if isTracked { inflight.willPublish(nextUsed, in: region) }
    // Releasing, and last: the driver goes through them in order, so that it finds none before it
    // finds this one.
    ring.store64(firstWord, firstPlace, in: memory)
    if isTracked { inflight.didPublish(nextUsed, in: region) }
  }

  /// Whether the driver wants an interrupt for what was published since the last time of asking.
  mutating func needsInterrupt(in memory: GuestMemory) -> Bool {
    let count = unsignalled
    guard count > 0 else { return false }
    unsignalled = 0
    // The used descriptors must be visible before we look whether the driver cares; see "interrupt"
    // above.
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    let event = driverEvent.load32(0, in: memory)
    let flags = event >> 16 & 3
    guard flags != EventFlags.disable else { return false }
    // 2.8.10: an event for one descriptor needs the feature. Where the driver breaks that, an
    // interrupt too many does no harm.
    guard flags == EventFlags.descriptor, hasEventIndex else { return true }
    // An interrupt is due where the device has passed that descriptor. After a whole turn it has
    // passed each.
    guard count < UInt32(size) else { return true }
    let wanted = PackedPosition(rawValue: UInt16(truncatingIfNeeded: event))
    guard let passed = nextUsed.distance(from: wanted, size: size) else { return false }
    return passed > 0 && UInt32(passed) <= count
  }

  /// Whether the driver seems to have made a chain available.
  func hasChains(in memory: GuestMemory) -> Bool {
    !unfinished.isEmpty || isAvailable(ring.load64(place(of: nextAvailable) &+ 8, in: memory))
  }

  /// Asks for a kick, and returns whether chains came before the driver could see that.
  mutating func enableNotifications(in memory: GuestMemory) -> Bool {
    // One store of the whole structure: its flags never go with another descriptor's number.
    let event =
      hasEventIndex
      ? EventFlags.descriptor << 16 | UInt32(nextAvailable.rawValue) : EventFlags.enable << 16
    deviceEvent.store32(event, 0, in: memory)
    // The wish must be visible before the last look; see "kick" above.
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    return hasChains(in: memory)
  }

  /// Tells the driver not to kick.
  mutating func disableNotifications(in memory: GuestMemory) {
    deviceEvent.store32(EventFlags.disable << 16, 0, in: memory)
  }

  /// Whether the descriptor that ends in `word` has been made available on the device's way through
  /// the ring (2.8.1).
  @inline(__always)
  private func isAvailable(_ word: UInt64) -> Bool { Self.isAvailable(word, at: nextAvailable) }

  /// Whether it would be, to a device that has come as far as `position`.
  @inline(__always)
  private static func isAvailable(_ word: UInt64, at position: PackedPosition) -> Bool {
    let flags = UInt16(truncatingIfNeeded: word >> 48)
    let isAvailable = flags & DescriptorFlag.available != 0
    let isUsed = flags & DescriptorFlag.used != 0
    return isAvailable == position.wrap && isUsed != isAvailable
  }

  @inline(__always)
  func place(of position: PackedPosition) -> UInt64 { 16 &* UInt64(position.index) }
}
