public import GuestMemory
import Synchronization

/// The device's side of a split queue (virtio 1.2, 2.7).
///
/// Owned by one thread. The driver on the other side may be hostile: every word that it writes is
/// read once, checked, and only the checked copy is used. After an error the queue is of no use until
/// the device is reset. The rings lie in RAM, as ``VirtqueueConfiguration/check(in:)`` finds out once,
/// and are looked up without a lock.
///
/// The barriers and their pairs in the driver:
/// - *available index*: the acquiring load of it in ``pop(into:)`` pairs with the driver's write
///   barrier between an entry of the available ring and the index (2.7.13.3, "write barrier").
/// - *used index*: the releasing store of it in ``publish()`` pairs with the driver's read barrier
///   between its load of the index and of the entry (2.7.14).
/// - *kick*: the fence in ``enableNotifications()`` pairs with the driver's full barrier between its
///   store of the available index and its load of `avail_event` or `flags` (2.7.13.4).
/// - *interrupt*: the fence in ``needsInterrupt()`` pairs with the driver's full barrier between its
///   store of `used_event` or `flags` and its last look at the used index (2.7.7.2).
public struct Virtqueue: ~Copyable {
  /// Which of the device's queues this is.
  public let index: Int
  /// The number of entries.
  public let size: UInt16

  let memory: GuestMemory
  let descriptorTable: GuestAddress
  let hasIndirectDescriptors: Bool
  private let hasEventIndex: Bool
  private let available: GuestAddress
  private let used: GuestAddress

  // Indices run freely from 0 to 65535 and wrap; the entry is the index modulo the size.
  private var nextAvailable: UInt16
  private var knownAvailable: UInt16
  private var nextUsed: UInt16
  private var unpublished = false
  private var unsignalled: UInt32 = 0

  /// Takes up the queue where its state says; a new one begins at 0.
  ///
  /// - Throws: ``VirtqueueError`` if its size or place is not as it must be.
  public init(
    _ configuration: VirtqueueConfiguration,
    in memory: GuestMemory
  ) throws(VirtqueueError) {
    try configuration.check(in: memory)
    self.memory = memory
    index = configuration.index
    size = configuration.size
    descriptorTable = configuration.descriptorTable
    available = configuration.availableRing
    used = configuration.usedRing
    hasEventIndex = configuration.features.contains(.eventIndex)
    hasIndirectDescriptors = configuration.features.contains(.indirectDescriptors)
    nextAvailable = configuration.state.available
    knownAvailable = configuration.state.available
    nextUsed = configuration.state.used
    // 2.7.10.1: with the event index, the flags are and stay 0.
    store16(0, at: used)
  }

  /// Where the queue stands; meaningful while no chain is out and all are published.
  public var state: VirtqueueState {
    VirtqueueState(available: nextAvailable, used: nextUsed)
  }

  /// Takes the next chain that the driver made available.
  ///
  /// The index is read once for all chains that it announces, so a batch costs one shared read.
  ///
  /// - Parameter chain: Filled with the chain; its old content is forgotten.
  /// - Returns: Whether there was a chain; if not, `chain` is empty.
  /// - Throws: ``VirtqueueError`` for whatever the driver did wrong.
  public mutating func pop(into chain: inout DescriptorChain) throws(VirtqueueError) -> Bool {
    if nextAvailable == knownAvailable {
      let index = load16(at: available &+ 2)
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
    let slot = UInt64(nextAvailable & (size &- 1))
    let head = load16(at: available &+ (4 &+ 2 &* slot))
    try walk(from: head, into: &chain)
    nextAvailable &+= 1
    return true
  }

  /// Undoes the last ``pop(into:)``, for a chain of which nothing has been used.
  public mutating func putBack() {
    nextAvailable &-= 1
  }

  /// Hands a chain back to the driver, once the next ``publish()`` makes it visible.
  ///
  /// - Parameters:
  ///   - chain: A chain of this queue that has not been completed.
  ///   - written: How many bytes, from the first writable one on, have been written (2.7.8.2).
  public mutating func complete(_ chain: borrowing DescriptorChain, written: UInt32) {
    complete(head: chain.head, written: written)
  }

  /// Hands back the chain that began with descriptor `head`.
  public mutating func complete(head: UInt16, written: UInt32) {
    let slot = used &+ (4 &+ 8 &* UInt64(nextUsed & (size &- 1)))
    store32(UInt32(head), at: slot)
    store32(written, at: slot &+ 4)
    nextUsed &+= 1
    unpublished = true
    if unsignalled < .max { unsignalled += 1 }
  }

  /// Makes all completed chains visible to the driver, with one store.
  public mutating func publish() {
    guard unpublished else { return }
    unpublished = false
    // Releasing: the entries, and the data, are there before the index says so.
    store16(nextUsed, at: used &+ 2)
  }

  /// Whether the driver wants an interrupt for what was published since the last time of asking.
  public mutating func needsInterrupt() -> Bool {
    let count = unsignalled
    guard count > 0 else { return false }
    unsignalled = 0
    // The index must be visible before we look whether the driver cares; see "interrupt" above.
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    guard hasEventIndex else {
      // 2.7.7.1: bit 0 of the driver's flags is VIRTQ_AVAIL_F_NO_INTERRUPT.
      return load16(at: available) & 1 == 0
    }
    // 2.7.7.1: an interrupt is due when the used index passes `used_event`. After a whole turn of
    // the 16-bit index it has passed every value.
    guard count <= UInt32(UInt16.max) else { return true }
    let event = load16(at: available &+ (4 &+ 2 &* UInt64(size)))
    let old = nextUsed &- UInt16(truncatingIfNeeded: count)
    return nextUsed &- event &- 1 < nextUsed &- old
  }

  /// Asks the driver for a kick with the next chain.
  ///
  /// - Returns: Whether chains came before the driver could see that; it does not kick for those.
  public mutating func enableNotifications() -> Bool {
    if hasEventIndex {
      // 2.7.10.1: `avail_event` follows the used ring's entries.
      store16(nextAvailable, at: used &+ (4 &+ 8 &* UInt64(size)))
    } else {
      store16(0, at: used)
    }
    // The wish must be visible before the last look; see "kick" above.
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    return load16(at: available &+ 2) != nextAvailable
  }

  /// Tells the driver not to kick; a hint, so kicks may come all the same.
  public mutating func disableNotifications() {
    // With the event index, an `avail_event` that stays behind has this effect (2.7.10).
    // Otherwise bit 0 of the device's flags is VIRTQ_USED_F_NO_NOTIFY.
    if !hasEventIndex { store16(1, at: used) }
  }

  // The rings were found in RAM by `init`, and RAM never changes: none of these can fail.

  private borrowing func load16(at address: GuestAddress) -> UInt16 {
    (try? memory.load16(at: address)) ?? 0
  }

  private borrowing func store16(_ value: UInt16, at address: GuestAddress) {
    try? memory.store16(value, at: address)
  }

  private borrowing func store32(_ value: UInt32, at address: GuestAddress) {
    try? memory.store32(value, at: address)
  }
}
