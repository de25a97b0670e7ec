/// A network device's limits, which all of its queues share.
public struct NetLimits: Sendable {
  /// On what the guest receives; `nil` is none.
  public var receive: RateLimiter?
  /// On what it sends; `nil` is none.
  public var send: RateLimiter?

  /// Describes limits.
  public init(receive: RateLimiter? = nil, send: RateLimiter? = nil) {
    self.receive = receive
    self.send = send
  }
}
