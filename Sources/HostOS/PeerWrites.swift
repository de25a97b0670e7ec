import Synchronization

/// The writes to peers' eventfds that are under way, in all of the process.
///
/// A write to an eventfd that its other holders have made a blocking one, and filled in the moment after
/// it was seen to have room, waits for a reader (eventfd(2)), who need not come: the holders may have gone. So
/// a thread takes the count of an eventfd that is full and has been written to for long. It sleeps while
/// nobody writes.
final class PeerWrites: Sendable {
  /// Those of the process.
  static let all = PeerWrites()

  // Nobody who is not held up writes for so long, in nanoseconds.
  private static var patience: UInt64 { 250_000_000 }

  private struct State {
    var writes: [(number: UInt64, event: EventFD)] = []
    var next: UInt64 = 1
    /// The first number that had not been given when the writes were last looked at.
    var looked: UInt64 = 1
    /// What the thread sleeps on; `nil` before there is one.
    var timer: TimerFD?
    var isTicking = false
  }

  private let state = Mutex(State())

  /// Notes that the calling thread writes to `event` from now on.
  ///
  /// - Returns: The write's number, for ``end(_:)``.
  func begin(_ event: EventFD) -> UInt64 {
    state.withLock { state in
      defer { state.next += 1 }
      state.writes.append((state.next, event))
      if !state.isTicking {
        // A host with no thread left may have one the next time.
        if state.timer == nil { state.timer = try? makeThread() }
        state.timer?.set(after: Self.patience)
        state.isTicking = state.timer != nil
      }
      return state.next
    }
  }

  /// Notes that the write is done.
  func end(_ number: UInt64) {
    state.withLock { state in
      guard let index = state.writes.firstIndex(where: { $0.number == number }) else { return }
      state.writes.swapAt(index, state.writes.count - 1)
      state.writes.removeLast()
    }
  }

  private func makeThread() throws(SystemError) -> TimerFD {
    let timer = try TimerFD()
    try Thread("signals") { [self] in
      while true {
        timer.wait()
        look()
      }
    }.detach()
    return timer
  }

  /// Frees those who were writing the last time too.
  private func look() {
    let events = state.withLock { state in
      let events = state.writes.filter { $0.number < state.looked }.map(\.event)
      state.looked = state.next
      state.isTicking = !state.writes.isEmpty
      if state.isTicking { state.timer?.set(after: Self.patience) }
      return events
    }
    // What has room holds up nobody: its count is the peer's.
    for event in events where !event.hasRoom { _ = event.takeCount() }
  }
}
