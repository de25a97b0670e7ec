/// How often things have happened in a local APIC since it was made.
public struct LocalAPICCounters: Equatable, Sendable {
  /// Vectors that became pending.
  public var delivered: UInt64 = 0
  /// Vectors that were pending already.
  public var coalesced: UInt64 = 0
  /// Vectors that the processor took.
  public var acknowledged: UInt64 = 0
  /// Interrupts that the guest ended.
  public var ended: UInt64 = 0
  /// Acknowledgements that found the interrupt gone.
  public var spurious: UInt64 = 0

  /// Nothing has happened.
  public init() {}
}
