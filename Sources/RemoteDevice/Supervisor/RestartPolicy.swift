/// How soon a process that died is followed by another, and when no more.
///
/// A process is well once it has served for ``wellAfter``. One that was well is followed at once; the
/// more die in a row that were not, the longer the pause.
public struct RestartPolicy: Equatable, Sendable {
  /// How long a process must have served to be well, in nanoseconds.
  public var wellAfter: UInt64 = 250_000_000
  /// The pause before the second in a row, in nanoseconds; it doubles for each that follows.
  public var firstPause: UInt64 = 20_000_000
  /// The longest pause, in nanoseconds.
  public var longestPause: UInt64 = 2_000_000_000
  /// How many may die in a row before they were well.
  public var limit = 10

  /// The policy for devices of a machine.
  public init() {}

  /// The pause after `count` in a row have died before they were well, in nanoseconds; `nil` if there is
  /// to be no other.
  func pause(after count: Int) -> UInt64? {
    guard count < limit else { return nil }
    guard count > 1 else { return 0 }
    return min(longestPause, firstPause << UInt64(min(count - 2, 30)))
  }
}
