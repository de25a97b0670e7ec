public import GuestMemory

/// The device's side of a virtqueue, split (virtio 1.2, 2.7) or packed (2.8): for a device there is
/// no difference.
///
/// Owned by one thread. The driver on the other side may be hostile: every word that it writes is
/// read once, checked, and only the checked copy is used. After an error the queue is of no use
/// until the device is reset. The rings lie in RAM, as ``VirtqueueConfiguration/check(in:)`` finds
/// out once, and are looked up without a lock.
///
/// Chains may be completed in any order. Where `VIRTIO_F_IN_ORDER` was agreed on, the queue shows
/// each to the driver only after all that came before it.
public struct Virtqueue: ~Copyable {
  /// Which of the device's queues this is.
  public let index: Int
  /// The number of entries.
  public let size: UInt16
  /// Whether the ring is a packed one.
  public let isPacked: Bool

  private let memory: GuestMemory
  private let isIndirectAllowed: Bool
  // One of the two is in use. Each is a few words without storage of its own, and a branch costs
  // less than anything else that could choose between them.
  private var split: SplitRing
  private var packed: PackedRing
  private var order: CompletionOrder
  // What the last pop took, as far as putting it back needs it. Two words and not the whole ticket: that
  // was only just written in parts, which makes a copy of the whole wait.
  private var lastID: UInt16 = 0
  private var lastEntry: UInt16 = 0

  /// Takes up the queue where its state says.
  ///
  /// - Throws: ``VirtqueueError`` if its size, place or state is not as it must be.
  public init(
    _ configuration: VirtqueueConfiguration,
    in memory: GuestMemory
  ) throws(VirtqueueError) {
    var configuration = configuration
    if let region = configuration.inflight {
      guard region.part(of: configuration) != nil else {
        throw .noInflight(queue: configuration.index, count: region.queueCount)
      }
      // Where a device died, what the region and the ring say counts, whatever the other side believes.
      if configuration.isTakenOver {
        configuration.state = .start(isPacked: configuration.isPacked)
      }
    }
    try configuration.check(in: memory)
    var split = SplitRing(configuration, in: memory)
    var packed = PackedRing(configuration, in: memory)
    if configuration.isPacked {
      packed.begin(in: memory)
      try packed.recover(in: memory)
    } else {
      split.begin(in: memory)
      try split.recover(in: memory)
    }
    self.memory = memory
    index = configuration.index
    size = configuration.size
    isPacked = configuration.isPacked
    isIndirectAllowed = configuration.features.contains(.indirectDescriptors)
    self.split = split
    self.packed = packed
    order = CompletionOrder(
      size: configuration.size,
      isKept: configuration.features.contains(.inOrder)
    )
  }

  /// Where the queue stands; meaningful while no chain is out and all are published.
  public var state: VirtqueueState { isPacked ? packed.state : split.state }

  /// Whether chains are left that another device had taken when it died.
  public var hasUnfinished: Bool { isPacked ? packed.hasUnfinished : split.hasUnfinished }

  /// Takes the next chain that the driver made available, after those that another device had taken
  /// when it died.
  ///
  /// - Parameter chain: Filled with the chain; its old content is forgotten. Made for the memory of
  ///   this queue.
  /// - Returns: Whether there was a chain; if not, `chain` is empty.
  /// - Throws: ``VirtqueueError`` for whatever the driver did wrong.
  public mutating func pop(into chain: inout DescriptorChain) throws(VirtqueueError) -> Bool {
    let isFound =
      isPacked
      ? try packed.pop(into: &chain, isIndirectAllowed: isIndirectAllowed)
      : try split.pop(into: &chain, isIndirectAllowed: isIndirectAllowed)
    if isFound, order.isKept { chain.ticket.turn = order.takeTurn() }
    lastID = chain.ticket.id
    lastEntry = chain.ticket.entry
    return isFound
  }

  /// Undoes the last ``pop(into:)``, once, for a chain of which nothing has been used.
  public mutating func putBack() {
    if isPacked { packed.putBack(lastEntry, in: memory) } else { split.putBack(lastID) }
    if order.isKept { order.putBack() }
  }

  /// Undoes the pop of the chain with this ticket, of which nothing has been used.
  ///
  /// It is the last of those that are out; several are put back in the opposite order.
  public mutating func putBack(_ ticket: ChainTicket) {
    if isPacked { packed.putBack(ticket, in: memory) } else { split.putBack(ticket) }
    if order.isKept { order.putBack() }
  }

  /// Hands a chain back to the driver, once the next ``publish()`` makes it visible.
  ///
  /// - Parameters:
  ///   - chain: A chain of this queue that has not been completed.
  ///   - written: How many bytes, from the first writable one on, have been written (2.7.8.2).
  public mutating func complete(_ chain: borrowing DescriptorChain, written: UInt32) {
    complete(chain.ticket, written: written)
  }

  /// Hands back the chain that had this ticket.
  public mutating func complete(_ ticket: ChainTicket, written: UInt32) {
    guard order.isKept else {
      push(ticket, written)
      return
    }
    order.hold(ticket, written: written)
    while let (ticket, written) = order.release() { push(ticket, written) }
  }

  /// Makes all completed chains visible to the driver, with one store.
  public mutating func publish() {
    if isPacked { packed.publish(in: memory) } else { split.publish(in: memory) }
  }

  /// Whether the driver wants an interrupt for what was published since the last time of asking.
  public mutating func needsInterrupt() -> Bool {
    isPacked ? packed.needsInterrupt(in: memory) : split.needsInterrupt(in: memory)
  }

  /// Whether there seems to be a chain to take; a look that checks nothing and takes nothing.
  public var hasChains: Bool {
    isPacked ? packed.hasChains(in: memory) : split.hasChains(in: memory)
  }

  /// Asks the driver for a kick with the next chain.
  ///
  /// - Returns: Whether chains came before the driver could see that; it does not kick for those.
  public mutating func enableNotifications() -> Bool {
    isPacked ? packed.enableNotifications(in: memory) : split.enableNotifications(in: memory)
  }

  /// Tells the driver not to kick; a hint, so kicks may come all the same.
  public mutating func disableNotifications() {
    if isPacked {
      packed.disableNotifications(in: memory)
    } else {
      split.disableNotifications(in: memory)
    }
  }

  @inline(__always)
  private mutating func push(_ ticket: ChainTicket, _ written: UInt32) {
    if isPacked {
      packed.push(ticket, written: written, in: memory)
    } else {
      split.push(ticket, written: written, in: memory)
    }
  }
}
