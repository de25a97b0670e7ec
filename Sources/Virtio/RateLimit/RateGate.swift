import DeviceModel
public import HostOS

/// One queue's way past a ``RateLimiter``: lets an operation pass, or keeps its place in line.
///
/// Owned by the queue's thread. An operation that has to wait stays with its service, which takes no
/// other of that queue until ``isOpen`` and returns ``outcome`` meanwhile: the thread then sleeps
/// until the operation's turn. One that is given up in between is taken back with ``cancel()``.
public final class RateGate {
  private let limiter: RateLimiter
  private let timer: TimerFD
  // The operation that waits.
  private var waiting: (bytes: UInt64, moment: UInt64)?

  /// Makes a gate.
  ///
  /// - Throws: `SystemError` if the host has no descriptor left for its timer.
  public init(_ limiter: RateLimiter) throws(SystemError) {
    self.limiter = limiter
    timer = try TimerFD()
  }

  /// What a queue whose operation waits is blocked on.
  public var outcome: QueueOutcome { .blocked(on: timer.rawValue, for: .readable) }

  /// Asks for an operation of `bytes` bytes; none other waits.
  ///
  /// - Returns: Whether it may go at once; otherwise it waits.
  public func pass(bytes: UInt64) -> Bool {
    precondition(waiting == nil, "an operation waits")
    let now = limiter.clock.monotonic
    let moment = limiter.take(bytes: bytes, at: now)
    guard moment > now else { return true }
    waiting = (bytes, moment)
    timer.set(after: moment - now)
    return false
  }

  /// Whether no operation waits; looks at the clock, and lets one go whose turn has come.
  public var isOpen: Bool {
    guard let waiting else { return true }
    let now = limiter.clock.monotonic
    guard now < waiting.moment else {
      self.waiting = nil
      return true
    }
    // The timer may be a moment early, or measure another time than the clock.
    timer.set(after: waiting.moment - now)
    return false
  }

  /// Takes the operation that waits, if one does, out of the line.
  public func cancel() {
    guard let waiting else { return }
    limiter.putBack(bytes: waiting.bytes)
    self.waiting = nil
  }

  deinit { cancel() }
}
