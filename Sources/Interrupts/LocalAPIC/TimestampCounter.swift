/// How a processor's time-stamp counter runs beside the clock of the device models.
public struct TimestampCounter: Equatable, Sendable {
  /// How fast it counts, in kHz; not 0.
  public let frequency: UInt64
  /// What it showed at ``moment``.
  public let value: UInt64
  /// When that was, in nanoseconds of ``DeviceClock/monotonic``.
  public let moment: UInt64

  /// Describes a counter that shows `value` at `moment` nanoseconds and counts at `frequency` kHz.
  public init(frequency: UInt64, value: UInt64, moment: UInt64) {
    precondition(frequency > 0, "a time-stamp counter that stands still")
    self.frequency = frequency
    self.value = value
    self.moment = moment
  }

  /// What the counter shows at `nanoseconds`; before ``moment``, what it showed then.
  public func value(atNanoseconds nanoseconds: UInt64) -> UInt64 {
    guard nanoseconds > moment else { return value }
    let product = (nanoseconds &- moment).multipliedFullWidth(by: frequency)
    guard product.high < 1_000_000 else { return .max }
    return value &+ UInt64(1_000_000).dividingFullWidth(product).quotient
  }

  /// The first nanosecond at which the counter has reached `value`: 0 if it had at ``moment``, and
  /// `.max` if it never does.
  public func nanoseconds(whenValueIs value: UInt64) -> UInt64 {
    guard value > self.value else { return 0 }
    let product = (value &- self.value).multipliedFullWidth(by: 1_000_000)
    guard product.high < frequency else { return .max }
    let (quotient, remainder) = frequency.dividingFullWidth(product)
    let (sum, overflow) = moment.addingReportingOverflow(quotient)
    return overflow || sum == .max ? .max : sum &+ (remainder > 0 ? 1 : 0)
  }
}
