/// One pin of the I/O APIC as it stands, for people to read.
public struct IOAPICPin: Equatable, Sendable {
  /// How often what has happened to a pin.
  public struct Counters: Equatable, Sendable {
    /// Rises of the pin that were seen.
    public var raised: UInt64 = 0
    /// Interrupts that a processor took, anew.
    public var delivered: UInt64 = 0
    /// Interrupts that fell together with one that was pending already.
    public var coalesced: UInt64 = 0
    /// Interrupts that were dropped: an edge that came while masked, a reserved mode, no such
    /// destination.
    public var ignored: UInt64 = 0
    /// Level interrupts that the guest ended.
    public var ended: UInt64 = 0
  }

  /// The redirection entry as the guest reads it.
  public var entry: RedirectionEntry
  /// Whether an edge waits to be sent.
  public var isPending: Bool
  /// Whether the pin was asserted when it was last looked at.
  public var isAsserted: Bool
  /// What has happened to it.
  public var counters: Counters
}
