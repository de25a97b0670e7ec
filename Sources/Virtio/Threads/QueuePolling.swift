import CLinux
import Glibc

/// How long a queue's thread looks for work itself, after it has run out of it and before it sleeps.
///
/// Polling saves the wake-up where requests follow closely, at the price of a processor that is busy
/// meanwhile. It adapts: the window grows up to the limit while waits turn out to be shorter than
/// that, and shrinks to nothing while they do not. While a thread polls, it asks for no kicks.
public struct QueuePolling: Equatable, Sendable {
  /// The longest window in nanoseconds; 0 never polls.
  public var limit: UInt64

  /// Polls for at most `limit` nanoseconds at a time.
  public init(limit: UInt64) { self.limit = limit }

  /// Never polls.
  public static var off: Self { Self(limit: 0) }

  /// 32 µs, about what two wake-ups cost; never on a host where only one processor is to be had,
  /// since there nobody else could do what is waited for.
  public static var adaptive: Self { apus_cpu_count() > 1 ? Self(limit: 32_000) : .off }
}

/// The window of one thread, as it grows and shrinks.
struct PollingWindow {
  // Shorter than this, a window does not pay.
  private static var least: UInt64 { 4000 }

  let limit: UInt64
  private(set) var current: UInt64 = 0

  init(_ polling: QueuePolling) { limit = polling.limit }

  /// Learns from a sleep of so many nanoseconds that the window did not spare.
  mutating func slept(_ nanoseconds: UInt64) {
    guard limit > 0 else { return }
    if nanoseconds <= limit {
      current = min(limit, max(min(Self.least, limit), current * 2))
    } else {
      current /= 2
      if current < Self.least { current = 0 }
    }
  }
}
