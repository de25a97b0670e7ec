public import DeviceModel

/// How much a device may do: bytes and operations in a second, each with what may come at once.
public struct RateLimit: Equatable, Sendable {
  /// A steady rate with a burst.
  public struct Rate: Equatable, Sendable {
    /// How many in a second, at least 1.
    public var perSecond: UInt64
    /// How many at once after a pause, at least 1.
    public var burst: UInt64

    /// Describes a rate; without a burst it is what comes in a tenth of a second.
    public init(perSecond: UInt64, burst: UInt64? = nil) {
      self.perSecond = perSecond
      self.burst = burst ?? max(perSecond / 10, 1)
    }
  }

  /// The limit on bytes; `nil` is none.
  public var bytes: Rate?
  /// The limit on operations; `nil` is none.
  public var operations: Rate?

  /// Describes a limit; with neither part there is none.
  public init(bytes: Rate? = nil, operations: Rate? = nil) {
    self.bytes = bytes
    self.operations = operations
  }

  /// A limiter with full buckets; `nil` if there is no limit.
  public func makeLimiter(clock: any DeviceClock) -> RateLimiter? {
    bytes == nil && operations == nil ? nil : RateLimiter(self, clock: clock)
  }
}
