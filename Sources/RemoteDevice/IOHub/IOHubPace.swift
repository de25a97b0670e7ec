import Glibc
import HostOS
import Synchronization

/// How often ends of interrupts are looked at: 64 times a millisecond, which no guest reaches and which
/// leaves most of a processor to others.
final class IOHubPace: Sendable {
  private static var limit: Int { 64 }
  private static var window: UInt64 { 1_000_000 }

  private let state = Mutex((start: UInt64(0), count: 0))

  /// Waits for the next millisecond if this one is used up; on the hub's own thread.
  func wait() {
    let rest = state.withLock { state -> UInt64 in
      let now = MonotonicClock.nanoseconds
      guard now &- state.start < Self.window else {
        state = (now, 1)
        return 0
      }
      state.count += 1
      return state.count < Self.limit ? 0 : Self.window - (now &- state.start)
    }
    if rest > 0 { usleep(UInt32(truncatingIfNeeded: rest / 1000 + 1)) }
  }
}
