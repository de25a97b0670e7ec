public import GuestMemory
public import HostOS

/// Where a driver has put a queue, and what was agreed on for it.
public struct VirtqueueConfiguration: Sendable {
  /// The most entries that a queue may have (virtio 1.2, 2.7 and 2.8).
  public static var maximumSize: UInt16 { 32768 }

  /// Which of the device's queues this is.
  public var index: Int
  /// The number of entries; a power of 2 for a split queue.
  public var size: UInt16
  /// The descriptor table, or the packed descriptor ring; 16 bytes an entry (2.7.5, 2.8.13).
  public var descriptorTable: GuestAddress
  /// What the driver writes: the available ring (2.7.6), or its event suppression structure
  /// (2.8.14).
  public var availableRing: GuestAddress
  /// What the device writes: the used ring (2.7.8), or its event suppression structure (2.8.14).
  public var usedRing: GuestAddress
  /// The features that both sides agreed on.
  public var features: VirtioFeatures
  /// Rung when the driver has made buffers available.
  public var kick: EventFD
  /// Where to go on.
  public var state: VirtqueueState
  /// Where the chains that are under way are noted, and taken up again from; `nil` for nowhere.
  public var inflight: InflightRegion?

  /// Describes a queue, a new one unless `state` says otherwise.
  public init(
    index: Int,
    size: UInt16,
    descriptorTable: GuestAddress,
    availableRing: GuestAddress,
    usedRing: GuestAddress,
    features: VirtioFeatures,
    kick: EventFD,
    state: VirtqueueState? = nil
  ) {
    self.index = index
    self.size = size
    self.descriptorTable = descriptorTable
    self.availableRing = availableRing
    self.usedRing = usedRing
    self.features = features
    self.kick = kick
    self.state = state ?? .start(isPacked: features.contains(.packedRing))
  }

  /// Whether the ring is a packed one.
  public var isPacked: Bool { features.contains(.packedRing) }

  /// Whether a device has died with this queue, so that what it left counts and not ``state``.
  var isTakenOver: Bool {
    guard let inflight, let part = inflight.part(of: self) else { return false }
    return InflightRegion.isInUse(part, in: inflight.memory)
  }

  /// Checks size, alignment (2.7, 2.8.10.1), place in `memory`, and state.
  public func check(in memory: GuestMemory) throws(VirtqueueError) {
    let isInRange = size > 0 && size <= Self.maximumSize
    let count = UInt64(size)
    if isPacked {
      guard isInRange else { throw .badPackedSize(size) }
      try check(.descriptors, descriptorTable, alignment: 16, count: 16 * count, in: memory)
      try check(.available, availableRing, alignment: 4, count: 4, in: memory)
      try check(.used, usedRing, alignment: 4, count: 4, in: memory)
    } else {
      guard isInRange, size & (size - 1) == 0 else { throw .badSize(size) }
      try check(.descriptors, descriptorTable, alignment: 16, count: 16 * count, in: memory)
      // Both rings end in the other side's event index, agreed on or not.
      try check(.available, availableRing, alignment: 2, count: 6 + 2 * count, in: memory)
      try check(.used, usedRing, alignment: 4, count: 6 + 8 * count, in: memory)
    }
    guard isStateSound || isTakenOver else {
      throw .badState(available: state.available, used: state.used, size: size)
    }
  }

  /// Whether the state is one that a queue of this size and kind can be in: no more out than it has
  /// entries.
  private var isStateSound: Bool {
    guard isPacked else { return state.available &- state.used <= size }
    let available = PackedPosition(rawValue: state.available)
    let used = PackedPosition(rawValue: state.used)
    return available.index < size && used.index < size
      && available.distance(from: used, size: size) != nil
  }

  private func check(
    _ part: VirtqueuePart,
    _ address: GuestAddress,
    alignment: UInt64,
    count: UInt64,
    in memory: GuestMemory
  ) throws(VirtqueueError) {
    guard address.rawValue & (alignment - 1) == 0 else {
      throw .unaligned(part, address, alignment: alignment)
    }
    guard memory.contains(address, count: count) else {
      throw .outsideMemory(part, address, count: count)
    }
  }
}
