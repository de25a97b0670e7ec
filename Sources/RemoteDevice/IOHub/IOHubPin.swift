import HostOS
import Interrupts

/// One pin of a hub: how many lines hold it up, and the peer's eventfds.
///
/// What the peer can do with those, and what comes of it:
/// - *It makes one a blocking one, or fills it*: ``EventFD`` looks before it writes. In the moment between the two the
///   peer can make a thread wait; ``PeerWrites`` of `HostOS` gets it out.
/// - *It signals without end, or names one eventfd for both directions*, so that each signal is an end:
///   eventfds are waited for by edges, so that one with a count that reading does not empty
///   (`EFD_SEMAPHORE`) costs nothing more, and ``IOHubPace`` bounds how often a millisecond that is looked at.
/// - *It reads what is for us*: it has lost an interrupt of its own guest's.
final class IOHubPin: Sendable {
  /// A trigger that is to be signalled, with no lock held.
  struct Signal: Sendable {
    let trigger: EventFD
  }

  private struct State {
    /// How many lines are asserted.
    var count = 0
    var trigger: EventFD?
    var isMasked = false
    var resample: EventFD?
    /// What the loop knows ``resample`` by, which is no other's ever; 0 while there is none.
    var token: UInt64 = 0
  }

  private let policy: IOHub.Policy
  private let pace: IOHubPace
  private let state = PlaneLock(State())

  init(_ policy: IOHub.Policy, _ pace: IOHubPace) {
    self.policy = policy
    self.pace = pace
  }

  var isAsserted: Bool { state.withLock { $0.count > 0 } }

  /// Counts one line more or less.
  ///
  /// - Returns: What is to be sent once no lock is held.
  func change(_ level: Bool) -> Signal? {
    state.withLock { state in
      state.count += level ? 1 : -1
      return level && state.count == 1 ? fire(&state) : nil
    }
  }

  func send(_ signal: Signal) { signal.trigger.signalPeer() }

  func setTrigger(_ trigger: EventFD?) {
    let signal = state.withLock { state in
      state.trigger = trigger
      state.isMasked = false
      return fire(&state)
    }
    if let signal { send(signal) }
  }

  /// Waits for `resample` on `loop` in place of what was there.
  func setResample(_ resample: EventFD?, on loop: InterruptEventLoop?) throws(SystemError) {
    let token = loop?.makeToken() ?? 0
    let old = state.withLock { state in
      let old = state.token
      state.token = resample == nil ? 0 : token
      state.resample = resample
      return old
    }
    if old != 0 { loop?.remove(old) }
    guard let resample, let loop else { return }
    do throws(SystemError) {
      // The loop holds the pin so long, and the pin never the loop.
      try loop.add(resample, .readable.union(.edges), token: token) { self.resample(token) }
    } catch {
      forget(token)
      throw error
    }
    // Two threads that replace it at once: whoever was overtaken takes its own off again.
    if state.withLock({ $0.token != token }) { loop.remove(token) }
  }

  func disconnect(from loop: InterruptEventLoop?) {
    let token = state.withLock { state in
      let token = state.token
      state.token = 0
      state.resample = nil
      state.trigger = nil
      state.isMasked = false
      return token
    }
    if token != 0 { loop?.remove(token) }
  }

  func mask() { state.withLock { $0.isMasked = true } }

  /// An interrupt has ended: signals again if the pin is up.
  func resample() {
    let signal = state.withLock { state in
      state.isMasked = false
      return fire(&state)
    }
    if let signal { send(signal) }
  }

  /// The loop has found the eventfd of `token` readable, which may have been replaced since.
  private func resample(_ token: UInt64) {
    let signal = state.withLock { state in
      guard state.token == token, let resample = state.resample, resample.drain() > 0 else {
        return nil as Signal?
      }
      state.isMasked = false
      return fire(&state)
    }
    if let signal { send(signal) }
    pace.wait()
  }

  private func forget(_ token: UInt64) {
    state.withLock { state in
      guard state.token == token else { return }
      state.token = 0
      state.resample = nil
    }
  }

  private func fire(_ state: inout State) -> Signal? {
    guard state.count > 0, !state.isMasked, let trigger = state.trigger else { return nil }
    state.isMasked = policy == .automask
    return Signal(trigger: trigger)
  }
}
