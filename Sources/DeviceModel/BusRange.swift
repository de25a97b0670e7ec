/// One range of addresses that a device claims on a ``Bus``: where, and how long.
public struct BusRange: Equatable, Sendable {
  /// The first address, or `nil` while the range is not mapped, such as a PCI BAR before decode.
  public let base: UInt64?
  /// The length in bytes.
  public let size: UInt64

  /// The `size` bytes from `base` on; the last may be the very last of the address space.
  public init(_ base: UInt64, size: UInt64) {
    self.base = base
    self.size = size
  }

  private init(size: UInt64) {
    self.base = nil
    self.size = size
  }

  /// A range that answers nowhere until ``Bus/move(_:region:to:)`` gives it a place.
  public static func unmapped(size: UInt64) -> BusRange { BusRange(size: size) }
}
