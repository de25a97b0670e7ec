import DeviceModel
import Synchronization

/// A clock whose one timer expires when the test says, however late.
final class LateClock: DeviceClock, DeviceTimer {
  private struct State {
    var now: UInt64 = 5_000_000_000
    var deadline: UInt64?
    var action: (@Sendable () -> Void)?
  }
  private let state = Mutex(State())

  var now: UInt64 {
    get { state.withLock { $0.now } }
    set { state.withLock { $0.now = newValue } }
  }
  /// What the timer is armed for.
  var deadline: UInt64? { state.withLock { $0.deadline } }

  var monotonic: UInt64 { now }
  var realTime: Int64 { Int64(now) }
  func makeTimer() -> any DeviceTimer { self }

  func whenExpired(_ action: @escaping @Sendable () -> Void) {
    state.withLock { $0.action = action }
  }
  func arm(at deadline: UInt64) { state.withLock { $0.deadline = deadline } }
  func disarm() { state.withLock { $0.deadline = nil } }

  func advance(nanoseconds: UInt64) { state.withLock { $0.now += nanoseconds } }

  /// Lets the timer expire, due or not.
  func expire() {
    let action = state.withLock { state in
      state.deadline = nil
      return state.action
    }
    action?()
  }
}
