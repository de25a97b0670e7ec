public import GuestMemory

/// One buffer of a driver's chain, as a descriptor will describe it.
public struct MockBuffer: Equatable, Sendable {
  /// Where it is.
  public var address: GuestAddress
  /// How long it is, in bytes.
  public var count: UInt32
  /// Whether the device writes it, rather than reads it.
  public var isWritable: Bool

  /// Describes a buffer.
  public init(_ address: GuestAddress, _ count: UInt32, isWritable: Bool) {
    self.address = address
    self.count = count
    self.isWritable = isWritable
  }

  /// A buffer for the device to read.
  public static func readable(_ address: UInt64, _ count: UInt32) -> Self {
    Self(GuestAddress(address), count, isWritable: false)
  }

  /// A buffer for the device to write.
  public static func writable(_ address: UInt64, _ count: UInt32) -> Self {
    Self(GuestAddress(address), count, isWritable: true)
  }
}
