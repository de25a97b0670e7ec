/// A guest write that signals an eventfd, and does not leave the kernel (api.rst, 4.59).
public struct IOEventTrigger: Hashable, Sendable {
  /// The address space of a write.
  public enum Space: Hashable, Sendable {
    /// Guest-physical memory.
    case memory
    /// x86 I/O ports.
    case port
  }

  /// The space of ``address``.
  public var space: Space
  /// The address of the write.
  public var address: UInt64
  /// The width of the write in bytes: 1, 2, 4 or 8; 0 stands for any.
  public var width: Int
  /// The one value that signals, or `nil` for any.
  public var datamatch: UInt64?

  /// Describes writes of `width` bytes to `address`, of `datamatch` only if it is given.
  public init(_ space: Space, address: UInt64, width: Int, datamatch: UInt64? = nil) {
    self.space = space
    self.address = address
    self.width = width
    self.datamatch = datamatch
  }
}
