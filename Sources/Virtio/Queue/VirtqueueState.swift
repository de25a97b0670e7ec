/// Where a split queue stands, for saving and restoring it between two requests.
public struct VirtqueueState: Equatable, Sendable {
  /// The index of the next entry of the available ring that the device takes.
  public var available: UInt16
  /// The index of the next entry of the used ring that the device fills.
  public var used: UInt16

  /// Describes a queue; both indices of a new one are 0.
  public init(available: UInt16 = 0, used: UInt16 = 0) {
    self.available = available
    self.used = used
  }
}
