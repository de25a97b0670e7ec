/// A device's view of one guest access: where it landed, and how wide it was.
public struct BusAccess: Equatable, Sendable {
  /// Which of the device's ranges was hit, counted from 0 in the order they were registered.
  public let region: Int
  /// Byte offset from the start of that range.
  public let offset: UInt64
  /// Width in bytes: 1, 2, 4, or 8.
  public let width: Int

  /// Describes an access of `width` bytes at `offset` into range `region`.
  @inlinable
  public init(region: Int = 0, offset: UInt64, width: Int) {
    self.region = region
    self.offset = offset
    self.width = width
  }
}

/// A device that answers guest loads and stores in the ranges it claims on a ``Bus``.
///
/// Both calls come on the vCPU's own thread, from several vCPUs at once: the device guards its own
/// state. They must not block for long, since the guest's processor stands still meanwhile.
public protocol BusDevice: AnyObject, Sendable {
  /// The value the guest reads, in the low `8 * width` bits; registers that it does not have read as zero.
  func read(_ access: BusAccess) -> UInt64
  /// Applies a guest write; writes to read-only registers, and to those that it does not have, are ignored.
  ///
  /// - Parameters:
  ///   - value: What the guest wrote, in the low `8 * width` bits; the others are zero.
  ///   - access: Where it wrote.
  func write(_ value: UInt64, _ access: BusAccess)
}
