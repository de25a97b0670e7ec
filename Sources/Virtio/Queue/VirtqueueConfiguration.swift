public import GuestMemory
public import HostOS

/// Where a driver has put a split queue, and what was agreed on for it.
public struct VirtqueueConfiguration: Sendable {
  /// The most entries that a split queue may have (virtio 1.2, 2.7).
  public static var maximumSize: UInt16 { 32768 }

  /// Which of the device's queues this is.
  public var index: Int
  /// The number of entries; a power of 2.
  public var size: UInt16
  /// The descriptor table, 16 bytes an entry (2.7.5).
  public var descriptorTable: GuestAddress
  /// The available ring, which the driver writes (2.7.6).
  public var availableRing: GuestAddress
  /// The used ring, which the device writes (2.7.8).
  public var usedRing: GuestAddress
  /// The features that both sides agreed on.
  public var features: VirtioFeatures
  /// Rung when the driver has made buffers available.
  public var kick: EventFD
  /// Where to go on; all zero for a new queue.
  public var state: VirtqueueState

  /// Describes a queue.
  public init(
    index: Int,
    size: UInt16,
    descriptorTable: GuestAddress,
    availableRing: GuestAddress,
    usedRing: GuestAddress,
    features: VirtioFeatures,
    kick: EventFD,
    state: VirtqueueState = VirtqueueState()
  ) {
    self.index = index
    self.size = size
    self.descriptorTable = descriptorTable
    self.availableRing = availableRing
    self.usedRing = usedRing
    self.features = features
    self.kick = kick
    self.state = state
  }

  /// Checks size, alignment (2.7) and place in `memory`.
  public func check(in memory: GuestMemory) throws(VirtqueueError) {
    guard size > 0, size <= Self.maximumSize, size & (size - 1) == 0 else { throw .badSize(size) }
    let size = UInt64(size)
    try check(.descriptors, descriptorTable, alignment: 16, count: 16 * size, in: memory)
    // Both rings end in the other side's event index, agreed on or not.
    try check(.available, availableRing, alignment: 2, count: 6 + 2 * size, in: memory)
    try check(.used, usedRing, alignment: 4, count: 6 + 8 * size, in: memory)
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
