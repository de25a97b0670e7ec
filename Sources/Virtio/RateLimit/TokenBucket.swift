/// Tokens that come at a steady rate, up to as many as a burst may use at once.
///
/// Whoever wants tokens takes them at once and is told the moment from which they count: the level
/// goes below zero while somebody waits, so that those who come later wait longer, and a large
/// request is never overtaken for ever by small ones. Between two moments no more tokens count than
/// the burst and what came in between. A request for more than the burst counts when the bucket is
/// full, and leaves a debt for the next.
///
/// A plain value; moments are nanoseconds of a clock that never steps back.
public struct TokenBucket: Sendable {
  /// Tokens that come in a second, at least 1.
  public let rate: UInt64
  /// The most tokens that are kept, at least 1.
  public let burst: UInt64

  private static var second: UInt64 { 1_000_000_000 }

  // Below zero: tokens that are taken but have not come.
  private var level: Int64
  // Billionths of a token that have come.
  private var fraction: UInt64 = 0
  private var updated: UInt64

  /// Makes a full bucket at the moment `now`.
  ///
  /// - Parameters:
  ///   - rate: Tokens that come in a second; 0 counts as 1.
  ///   - burst: The most tokens that are kept; 0 counts as 1.
  ///   - now: The moment.
  public init(rate: UInt64, burst: UInt64, at now: UInt64) {
    self.rate = min(max(rate, 1), UInt64(Int64.max))
    self.burst = min(max(burst, 1), UInt64(Int64.max))
    level = Int64(self.burst)
    updated = now
  }

  /// Takes `count` tokens.
  ///
  /// - Returns: The moment from which they count; `now` if that is at once.
  public mutating func take(_ count: UInt64, at now: UInt64) -> UInt64 {
    refill(at: now)
    let wanted = Int64(min(count, burst))
    let moment = wanted <= level ? now : self.moment(of: wanted, after: now)
    level = saturating(level.subtractingReportingOverflow(Int64(clamping: count)))
    return moment
  }

  /// Gives back tokens that were taken and not used.
  public mutating func putBack(_ count: UInt64) {
    let sum = level.addingReportingOverflow(Int64(clamping: count))
    level = sum.overflow ? Int64(burst) : min(sum.partialValue, Int64(burst))
  }

  /// When the level, which is lower, reaches `wanted`.
  private func moment(of wanted: Int64, after now: UInt64) -> UInt64 {
    // The difference of a number of at least 0 and a smaller one fits the unsigned type.
    let missing = UInt64(bitPattern: wanted &- level)
    let product = missing.multipliedFullWidth(by: Self.second)
    let (low, borrow) = product.low.subtractingReportingOverflow(fraction)
    let high = product.high &- (borrow ? 1 : 0)
    guard high < rate else { return .max }
    let (quotient, remainder) = rate.dividingFullWidth((high, low))
    let wait = remainder == 0 ? quotient : quotient.addingReportingOverflow(1).partialValue
    let (moment, isBeyond) = now.addingReportingOverflow(wait)
    return isBeyond || wait < quotient ? .max : moment
  }

  /// Adds what has come since the last time.
  private mutating func refill(at now: UInt64) {
    guard now > updated else { return }
    let product = (now - updated).multipliedFullWidth(by: rate)
    updated = now
    let (low, carry) = product.low.addingReportingOverflow(fraction)
    let high = product.high &+ (carry ? 1 : 0)
    // More than 2^64 tokens fill any bucket.
    guard high < Self.second else { return fill() }
    let (tokens, rest) = Self.second.dividingFullWidth((high, low))
    guard tokens <= UInt64(Int64.max) else { return fill() }
    let (sum, isBeyond) = level.addingReportingOverflow(Int64(tokens))
    guard !isBeyond, sum < Int64(burst) else { return fill() }
    level = sum
    fraction = rest
  }

  private mutating func fill() {
    level = Int64(burst)
    fraction = 0
  }

  private func saturating(_ difference: (partialValue: Int64, overflow: Bool)) -> Int64 {
    difference.overflow ? .min : difference.partialValue
  }
}
