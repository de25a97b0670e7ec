/// What happened at one GSI since the machine was made.
public struct InterruptCounters: Equatable, Sendable {
  /// Its line rose, or its message was sent.
  public var raised: UInt64 = 0
  /// A source asserted what it had asserted, or a message was pending already.
  public var coalesced: UInt64 = 0
  /// Messages that became pending at a processor.
  public var delivered: UInt64 = 0
  /// Ends of its interrupt.
  public var ended: UInt64 = 0
  /// End-of-interrupt eventfds that were signalled.
  public var resampled: UInt64 = 0
  /// Ends of an interrupt although no source had asserted the line since the end before.
  public var spurious: UInt64 = 0

  /// All zero.
  public init() {}

  /// Adds up what two places counted.
  public static func += (left: inout Self, right: Self) {
    left.raised &+= right.raised
    left.coalesced &+= right.coalesced
    left.delivered &+= right.delivered
    left.ended &+= right.ended
    left.resampled &+= right.resampled
    left.spurious &+= right.spurious
  }
}
