public import GuestMemory

/// A descriptor as it lies in a table, good or bad (virtio 1.2, 2.7.5).
public struct MockDescriptor: Sendable {
  /// The flag that another descriptor follows.
  public static let next: UInt16 = 1
  /// The flag of a buffer for the device to write.
  public static let write: UInt16 = 2
  /// The flag of a table of descriptors.
  public static let indirect: UInt16 = 4

  /// Where the buffer or table is.
  public var address: UInt64
  /// How long it is.
  public var count: UInt32
  /// ``next``, ``write`` and ``indirect``.
  public var flags: UInt16
  /// The number of the next descriptor.
  public var successor: UInt16

  /// Describes a descriptor.
  public init(_ address: UInt64, _ count: UInt32, _ flags: UInt16 = 0, next: UInt16 = 0) {
    self.address = address
    self.count = count
    self.flags = flags
    successor = next
  }

  /// Writes the descriptor at entry `index` of the table at `table`.
  ///
  /// In a packed ring's tables a buffer ID, which nobody looks at, comes before the flags (2.8.13).
  public func store(
    _ index: UInt16,
    of table: GuestAddress,
    in memory: GuestMemory,
    isPacked: Bool = false
  ) throws {
    let place = table &+ 16 * UInt64(index)
    try memory.store64(address, at: place)
    try memory.store32(count, at: place &+ 8)
    try memory.store16(isPacked ? successor : flags, at: place &+ 12)
    try memory.store16(isPacked ? flags : successor, at: place &+ 14)
  }
}
