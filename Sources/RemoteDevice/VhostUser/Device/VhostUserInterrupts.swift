import HostOS
import Synchronization
import Virtio

/// The device's way to a front end: an eventfd of the front end's for each ring, and messages for the
/// rest.
///
/// Signals come from the device's threads; the session's thread sets the eventfds.
final class VhostUserInterrupts: VirtioInterrupts {
  private struct State {
    var calls: [EventFD?]
    var log: EventFD?
  }

  private let state: Mutex<State>
  private let isChanged = Atomic(false)
  /// Signalled when the session has something to tell.
  private let wake: EventFD

  /// Has no eventfd for any of `count` rings yet.
  init(count: Int, waking wake: EventFD) {
    state = Mutex(State(calls: Array(repeating: nil, count: count)))
    self.wake = wake
  }

  /// Tells the front end that buffers of ring `index` were used.
  func signalQueue(_ index: Int) {
    let (call, log) = state.withLock { ($0.calls[index], $0.log) }
    if let log { log.signalPeer() }
    if let call { call.signalPeer() }
  }

  /// Has the session tell the front end.
  func signalConfigurationChange() {
    isChanged.store(true, ordering: .releasing)
    wake.signal()
  }

  /// Nothing is pending here.
  func reset() {}

  /// Whether there was a change since the last time of asking.
  func takeChange() -> Bool { isChanged.exchange(false, ordering: .acquiring) }

  /// Signals ring `index` through `call` from now on, or not at all.
  func setCall(_ call: EventFD?, of index: Int) {
    state.withLock { $0.calls[index] = call }
  }

  /// Signals `log` too from now on, which says that the log has changed.
  func setLog(_ log: EventFD?) {
    state.withLock { $0.log = log }
  }
}
