public import DeviceModel
import Synchronization

/// What all queues of a device share of its ``RateLimit``.
///
/// Any thread may call anything. A queue goes through a ``RateGate`` of its own, which also waits.
public final class RateLimiter: Sendable {
  private struct State {
    var bytes: TokenBucket?
    var operations: TokenBucket?
  }

  let clock: any DeviceClock
  private let state: Mutex<State>

  /// Makes a limiter with full buckets.
  public init(_ limit: RateLimit, clock: any DeviceClock) {
    self.clock = clock
    let now = clock.monotonic
    func bucket(_ rate: RateLimit.Rate) -> TokenBucket {
      TokenBucket(rate: rate.perSecond, burst: rate.burst, at: now)
    }
    state = Mutex(State(bytes: limit.bytes.map(bucket), operations: limit.operations.map(bucket)))
  }

  /// Gives one operation of `bytes` bytes its place in line.
  ///
  /// - Returns: The moment of the clock at which it may go; `now` or before if that is at once.
  func take(bytes: UInt64, at now: UInt64) -> UInt64 {
    state.withLock { state in
      let first = state.bytes?.take(bytes, at: now) ?? now
      let second = state.operations?.take(1, at: now) ?? now
      return max(first, second)
    }
  }

  /// Takes one operation of `bytes` bytes out of the line, which does not go after all.
  func putBack(bytes: UInt64) {
    state.withLock { state in
      state.bytes?.putBack(bytes)
      state.operations?.putBack(1)
    }
  }
}
