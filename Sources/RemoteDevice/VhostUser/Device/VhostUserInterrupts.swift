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
  /// How many threads are in a signal just now.
  private let inside = Atomic(0)
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
    inside.wrappingAdd(1, ordering: .relaxed)
    log?.signal()
    call?.signal()
    inside.wrappingSubtract(1, ordering: .relaxed)
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

  /// Waits for the device's threads in `body`, whatever the front end does with its eventfds.
  ///
  /// Writing to an eventfd that its other holders have made a blocking one, and filled, waits for a
  /// reader (eventfd(2)): if `body` takes long, the count is taken here, so that the writer goes on.
  func unblocking<Result>(_ body: () -> Result) -> Result {
    guard let end = try? EventFD(),
      let helper = try? Thread("vhost-user", { self.free(until: end) })
    else { return body() }
    let result = body()
    end.signal()
    helper.join()
    return result
  }

  private func free(until end: EventFD) {
    while true {
      var list = PollList()
      let place = list.add(end.rawValue, for: .readable)
      list.wait(timeout: 500)
      if list.isReady(place) { return }
      guard inside.load(ordering: .relaxed) > 0 else { continue }
      let events = state.withLock { $0.calls + [$0.log] }
      for event in events { event?.drain() }
    }
  }
}
