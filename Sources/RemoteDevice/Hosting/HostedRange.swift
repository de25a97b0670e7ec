import GuestMemory

/// A range of the guest's memory, as a peer has said that a device may use it.
public struct HostedRange: Sendable {
  /// What the device may do there.
  public struct Access: OptionSet, Hashable, Sendable {
    /// The bits, as vfio-user has them.
    public let rawValue: UInt32
    /// Wraps bits.
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// The device may read.
    public static var read: Self { Self(rawValue: 1) }
    /// The device may write.
    public static var write: Self { Self(rawValue: 2) }
  }

  /// The first guest address.
  public let address: UInt64
  /// The length in bytes, at least one page.
  public let size: UInt64
  /// What the device may do there.
  public let access: Access
  /// The bytes, where they can be mapped and be used both ways; others are reached by messages.
  let mapping: SharedMapping?

  /// Whether it has an address in common with `count` bytes at `start`.
  func overlaps(_ start: UInt64, _ count: UInt64) -> Bool {
    start &- address < size || address &- start < count
  }

  /// Whether all of it is in the `count` bytes at `start`.
  func isInside(_ start: UInt64, _ count: UInt64) -> Bool {
    address >= start && address - start < count && size <= count - (address - start)
  }
}
