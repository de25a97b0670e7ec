public import GuestMemory
import Synchronization

/// The driver's side of a queue, split (virtio 1.2, 2.7) or packed (2.8), built in guest memory.
///
/// It keeps the rules unless a test goes around it, through ``store(_:at:)``, ``offer(_:)`` and
/// ``setAvailableIndex(_:)``. Owned by one thread.
public final class MockQueue {
  /// Guest RAM.
  public let memory: GuestMemory
  /// The number of entries.
  public let size: UInt16
  /// Whether the ring is a packed one.
  public let isPacked: Bool
  /// Where the descriptor table, or the packed ring, is.
  public let descriptorTable: GuestAddress
  /// Where the available ring, or the driver's event suppression structure, is.
  public let availableRing: GuestAddress
  /// Where the used ring, or the device's event suppression structure, is.
  public let usedRing: GuestAddress
  /// Whether event indices are used in place of flags.
  public let hasEventIndex: Bool

  /// The index after the last offered chain, of a split queue.
  public private(set) var nextAvailable: UInt16
  private var nextUsed: UInt16
  private var lastKicked: UInt16
  private var free: [UInt16]
  // By ID: the numbers of a chain's descriptors; in a packed ring as many of anything.
  private var chains: [UInt16: [UInt16]] = [:]
  // In a packed ring:
  var availablePlace: Place
  var stored: [UInt16: MockDescriptor] = [:]
  private var usedPlace: Place
  private var taken: UInt16 = 0
  private var unkicked = 0
  private var freeIDs: [UInt16] = []

  /// The bytes that a queue of `size` entries takes, in whole pages.
  public static func byteCount(_ size: UInt16) -> UInt64 {
    (16 * UInt64(size) + 6 + 2 * UInt64(size) + 4 + 6 + 8 * UInt64(size) + 4095) & ~4095
  }

  /// Lays out a queue from `base` on, which is aligned to 16 bytes and zero.
  public init(
    in memory: GuestMemory,
    at base: GuestAddress,
    size: UInt16,
    eventIndex: Bool = false,
    isPacked: Bool = false,
    startingAt start: UInt16? = nil
  ) throws {
    let index = start ?? (isPacked ? 0x8000 : 0)
    self.memory = memory
    self.isPacked = isPacked
    self.size = size
    hasEventIndex = eventIndex
    descriptorTable = base
    availableRing = base &+ 16 * UInt64(size)
    usedRing =
      isPacked
      ? availableRing &+ 4
      : GuestAddress((availableRing.rawValue + 6 + 2 * UInt64(size) + 3) & ~3)
    availablePlace = Place(index)
    usedPlace = Place(index)
    nextAvailable = index
    nextUsed = index
    lastKicked = index
    free = (0..<size).reversed()
    freeIDs = free
    guard !isPacked else {
      // What was passed on the way to the start is used by the wrap counter of that time, the rest
      // by the one before.
      for index in 0..<size where (index < availablePlace.index) == availablePlace.wrap {
        try memory.store16(0x8080, at: base &+ 16 * UInt64(index) &+ 14)
      }
      return
    }
    try memory.store16(index, at: availableRing &+ 2)
    try memory.store16(index, at: usedRing &+ 2)
  }

  /// A driver that stands where `other` stands, over the same memory.
  public init(copying other: MockQueue) {
    memory = other.memory
    size = other.size
    isPacked = other.isPacked
    descriptorTable = other.descriptorTable
    availableRing = other.availableRing
    usedRing = other.usedRing
    hasEventIndex = other.hasEventIndex
    nextAvailable = other.nextAvailable
    nextUsed = other.nextUsed
    lastKicked = other.lastKicked
    free = other.free
    chains = other.chains
    availablePlace = other.availablePlace
    stored = other.stored
    usedPlace = other.usedPlace
    taken = other.taken
    unkicked = other.unkicked
    freeIDs = other.freeIDs
  }

  /// How many more descriptors there are.
  public var freeCount: Int { free.count }

  /// Offers a chain of `buffers`.
  ///
  /// - Parameters:
  ///   - buffers: What the chain consists of.
  ///   - table: Where to put them as a table of their own; `nil` uses the queue's.
  ///   - direct: With a table: how many of the first buffers stay outside of it.
  /// - Returns: What the device gives back: the number of the first descriptor, or the buffer ID.
  /// - Throws: `GuestMemoryError` if a table is not in RAM.
  @discardableResult
  public func add(
    _ buffers: [MockBuffer],
    table: GuestAddress? = nil,
    direct: Int = 0
  ) throws -> UInt16 {
    var descriptors = buffers.map {
      MockDescriptor($0.address.rawValue, $0.count, $0.isWritable ? MockDescriptor.write : 0)
    }
    if let table {
      let inside = Array(descriptors[direct...])
      for (index, descriptor) in inside.enumerated() {
        var linked = descriptor
        if index + 1 < inside.count, !isPacked {
          linked.flags |= MockDescriptor.next
          linked.successor = UInt16(index + 1)
        }
        try linked.store(UInt16(index), of: table, in: memory, isPacked: isPacked)
      }
      descriptors[direct...] = [
        MockDescriptor(table.rawValue, UInt32(16 * inside.count), MockDescriptor.indirect)
      ]
    }
    precondition(!descriptors.isEmpty && descriptors.count <= free.count, "the queue is full")
    let numbers = descriptors.map { _ in free.removeLast() }
    guard !isPacked else {
      let id = freeIDs.removeLast()
      chains[id] = numbers
      unkicked += numbers.count
      try addPacked(descriptors, id: id)
      return id
    }
    for (index, descriptor) in descriptors.enumerated() {
      var linked = descriptor
      if index + 1 < descriptors.count {
        linked.flags |= MockDescriptor.next
        linked.successor = numbers[index + 1]
      }
      try store(linked, at: numbers[index])
    }
    chains[numbers[0]] = numbers
    try offer(numbers[0])
    return numbers[0]
  }

  /// Writes a descriptor, whatever it says; into a packed ring with ``offer(_:)`` only.
  public func store(_ descriptor: MockDescriptor, at index: UInt16) throws {
    guard !isPacked else {
      stored[index] = descriptor
      return
    }
    try descriptor.store(index, of: descriptorTable, in: memory)
  }

  /// Makes `head` available, whatever it is the head of; in a packed ring, all that was stored.
  public func offer(_ head: UInt16) throws {
    guard !isPacked else {
      try offerPacked()
      return
    }
    try memory.store16(head, at: availableRing &+ 4 &+ 2 * UInt64(nextAvailable & (size - 1)))
    try setAvailableIndex(nextAvailable &+ 1)
  }

  /// Sets the available index, whatever was made available.
  public func setAvailableIndex(_ index: UInt16) throws {
    nextAvailable = index
    try memory.store16(index, at: availableRing &+ 2)
  }

  /// Whether the device wants to be kicked for what was offered since this was last asked.
  public func needsKick() throws -> Bool {
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    guard !isPacked else {
      defer { unkicked = 0 }
      return try needsKickPacked(unkicked)
    }
    let old = lastKicked
    lastKicked = nextAvailable
    guard hasEventIndex else { return try memory.load16(at: usedRing) & 1 == 0 }
    let event = try memory.load16(at: usedRing &+ 4 &+ 8 * UInt64(size))
    return nextAvailable &- event &- 1 < nextAvailable &- old
  }

  /// The device's index, as the driver sees it; in a packed ring, the number of chains that were
  /// used.
  public func usedIndex() throws -> UInt16 {
    guard isPacked else { return try memory.load16(at: usedRing &+ 2) }
    var (place, count) = (usedPlace, taken)
    while count &- taken < size, let used = try usedDescriptor(at: place) {
      place.advance(by: chains[used.id]?.count ?? 1, size: size)
      count &+= 1
    }
    return count
  }

  /// The flags of the next used descriptor of a packed ring, if there is one.
  public func usedFlags() throws -> UInt16? { try usedDescriptor(at: usedPlace)?.flags }

  /// Takes the next chain that the device is done with, if there is one.
  public func takeUsed() throws -> (head: UInt32, written: UInt32)? {
    guard !isPacked else {
      guard let used = try usedDescriptor(at: usedPlace) else { return nil }
      let numbers = chains.removeValue(forKey: used.id) ?? []
      if !numbers.isEmpty { freeIDs.append(used.id) }
      free += numbers.reversed()
      usedPlace.advance(by: max(numbers.count, 1), size: size)
      taken &+= 1
      return (UInt32(used.id), used.written)
    }
    guard try usedIndex() != nextUsed else { return nil }
    let slot = usedRing &+ 4 &+ 8 * UInt64(nextUsed & (size - 1))
    let head = try memory.load32(at: slot)
    let written = try memory.load32(at: slot &+ 4)
    nextUsed &+= 1
    if let numbers = chains.removeValue(forKey: UInt16(truncatingIfNeeded: head)) {
      free += numbers.reversed()
    }
    return (head, written)
  }

  /// Asks for no interrupts, or for all, by the flag.
  public func suppressInterrupts(_ isSuppressed: Bool) throws {
    guard !isPacked else {
      try memory.store32(isSuppressed ? 1 << 16 : 0, at: availableRing)
      return
    }
    try memory.store16(isSuppressed ? 1 : 0, at: availableRing)
  }

  /// Asks for an interrupt when the used index passes `index`, or the device a place in the packed
  /// ring.
  public func setUsedEvent(_ index: UInt16) throws {
    guard !isPacked else {
      try memory.store32(2 << 16 | UInt32(index), at: availableRing)
      return
    }
    try memory.store16(index, at: availableRing &+ 4 &+ 2 * UInt64(size))
  }
}
