/// One pin of the 8259s as it stands, for people to read.
public struct PICPin: Equatable, Sendable {
  /// How often what has happened to a pin.
  public struct Counters: Equatable, Sendable {
    /// Rises of the pin that were seen.
    public var raised: UInt64 = 0
    /// Interrupts that a processor took.
    public var delivered: UInt64 = 0
    /// Edges that fell before a processor took them.
    public var withdrawn: UInt64 = 0
    /// Interrupts that ended, by command or by themselves.
    public var ended: UInt64 = 0
  }

  /// The vector it is delivered with.
  public var vector: UInt8
  /// Whether the pin was asserted when it was last looked at.
  public var isAsserted: Bool
  /// Whether it is in IRR.
  public var isRequested: Bool
  /// Whether it is in ISR.
  public var isInService: Bool
  /// Whether it is in IMR.
  public var isMasked: Bool
  /// Whether it works by level.
  public var isLevelTriggered: Bool
  /// What has happened to it.
  public var counters: Counters
}
