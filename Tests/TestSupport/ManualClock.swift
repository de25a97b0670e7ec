import DeviceModel
import Synchronization

/// A clock that a test moves by hand; timers expire while it moves, in order.
public final class ManualClock: DeviceClock {
  private struct State {
    var monotonic: UInt64 = 5_000_000_000
    var realTime: Int64
    var armed: [(timer: ManualTimer, deadline: UInt64)] = []
  }

  private let state: Mutex<State>

  /// Starts at `seconds` since 1970 UTC.
  public init(seconds: Int64 = 0) { state = Mutex(State(realTime: seconds * 1_000_000_000)) }

  /// Nanoseconds that have passed, from an arbitrary start.
  public var monotonic: UInt64 { state.withLock { $0.monotonic } }
  /// Nanoseconds since 1970 UTC.
  public var realTime: Int64 { state.withLock { $0.realTime } }
  /// How many timers are armed.
  public var armedCount: Int { state.withLock { $0.armed.count } }

  /// Makes a timer that expires as this clock moves.
  public func makeTimer() -> any DeviceTimer { ManualTimer(self) }

  /// Lets `nanoseconds` pass.
  public func advance(nanoseconds: UInt64) {
    let end = monotonic + nanoseconds
    while let next = step(to: end) { next.expire() }
  }

  /// Lets `seconds` pass.
  public func advance(seconds: UInt64) { advance(nanoseconds: seconds * 1_000_000_000) }

  fileprivate func arm(_ timer: ManualTimer, at deadline: UInt64) {
    state.withLock { state in
      state.armed.removeAll { $0.timer === timer }
      state.armed.append((timer, deadline))
    }
  }

  fileprivate func disarm(_ timer: ManualTimer) {
    state.withLock { $0.armed.removeAll { $0.timer === timer } }
  }

  /// Moves to the next deadline up to `end` and takes its timer, or moves to `end`.
  private func step(to end: UInt64) -> ManualTimer? {
    state.withLock { state in
      let next = state.armed.min { $0.deadline < $1.deadline }
      let isDue = next.map { $0.deadline <= end } ?? false
      let moment = max(isDue ? next?.deadline ?? end : end, state.monotonic)
      state.realTime += Int64(moment - state.monotonic)
      state.monotonic = moment
      guard isDue, let next else { return nil }
      state.armed.removeAll { $0.timer === next.timer }
      return next.timer
    }
  }
}

fileprivate final class ManualTimer: DeviceTimer {
  // The clock holds its timers while they are armed; who uses a timer holds the clock.
  private unowned let clock: ManualClock
  private let action = Mutex<(@Sendable () -> Void)?>(nil)

  init(_ clock: ManualClock) { self.clock = clock }

  func whenExpired(_ action: @escaping @Sendable () -> Void) {
    self.action.withLock { $0 = action }
  }
  func arm(at deadline: UInt64) { clock.arm(self, at: deadline) }
  func disarm() { clock.disarm(self) }

  func expire() {
    let action = action.withLock { $0 }
    action?()
  }
}
