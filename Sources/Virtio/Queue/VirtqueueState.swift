/// Where a queue stands, for saving and restoring it between two requests.
///
/// In a split queue both numbers are free-running indices. In a packed one they are places in the
/// ring, each with its wrap counter above 15 bits of index. Either way the two are the halves of
/// what vhost-user calls a ring's base.
public struct VirtqueueState: Equatable, Sendable {
  /// Where the device takes the next chain: the index of an entry of the available ring, or a place
  /// in the packed ring.
  public var available: UInt16
  /// Where the device fills the next entry: the index of one of the used ring, or a place in the
  /// packed ring.
  public var used: UInt16

  /// Describes a queue; both indices of a new split one are 0.
  public init(available: UInt16 = 0, used: UInt16 = 0) {
    self.available = available
    self.used = used
  }

  /// A new queue: index 0, and in a packed ring with the wrap counters at 1 (virtio 1.2, 2.8.1).
  public static func start(isPacked: Bool) -> Self {
    isPacked ? Self(available: 0x8000, used: 0x8000) : Self()
  }
}
