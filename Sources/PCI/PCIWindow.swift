/// A range of addresses that BARs are placed in.
public struct PCIWindow: Equatable, Sendable {
  /// The first address; not zero, where a BAR is not decoded.
  public let base: UInt64
  /// The length.
  public let size: UInt64

  /// Describes `size` addresses from `base` on.
  public init(base: UInt64, size: UInt64) {
    precondition(base > 0 && size > 0 && base <= .max - size, "bad PCI window at \(base)")
    self.base = base
    self.size = size
  }

  /// The first address after the window.
  public var end: UInt64 { base + size }
}
