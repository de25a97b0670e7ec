package import HostOS
import Synchronization

/// Signals to eventfds that a peer holds too.
///
/// A write to an eventfd that its other holders have made a blocking one, and filled in the moment after
/// it was seen to have room, waits for a reader (eventfd(2)). Whoever waits for the threads that signal
/// does so in ``unblocking(_:)``. Any thread may call.
package final class PeerSignals: Sendable {
  private let current = Current()
  // Made when somebody first waits.
  private let rescuer = Mutex<Rescuer?>(nil)

  package init() {}

  /// Adds one to the count of `event`.
  package func signal(_ event: EventFD) {
    let number = current.begin(event)
    event.signal()
    current.end(number)
  }

  /// Waits in `body` for threads that signal, whatever the peer does with its eventfds.
  ///
  /// If `body` takes long, the counts of eventfds that threads have long been writing to are taken by another
  /// thread, so that they go on.
  package func unblocking<Result>(_ body: () -> Result) -> Result {
    let rescuer = rescuer.withLock { rescuer in
      if rescuer == nil { rescuer = try? Rescuer(current) }
      return rescuer
    }
    rescuer?.begin()
    defer { rescuer?.end() }
    return body()
  }

  /// The eventfds that threads are writing to just now, those that have been replaced meanwhile included.
  private final class Current: Sendable {
    private struct State {
      var writes: [(number: UInt64, event: EventFD)] = []
      var next: UInt64 = 1
      /// Writes that were under way when they were last looked at.
      var old: [UInt64] = []
    }

    private let state = Mutex(State())

    func begin(_ event: EventFD) -> UInt64 {
      state.withLock { state in
        defer { state.next += 1 }
        state.writes.append((state.next, event))
        return state.next
      }
    }

    func end(_ number: UInt64) {
      state.withLock { state in
        guard let index = state.writes.firstIndex(where: { $0.number == number }) else { return }
        state.writes.swapAt(index, state.writes.count - 1)
        state.writes.removeLast()
      }
    }

    /// Takes the counts of those that a thread was already writing to the last time: they are full.
    func takeOldCounts() {
      let events = state.withLock { state in
        let events = state.writes.filter { state.old.contains($0.number) }.map(\.event)
        state.old = state.writes.map(\.number)
        return events
      }
      for event in events { event.drain() }
    }
  }

  /// The thread that looks after those who wait for long.
  private final class Rescuer: Sendable {
    // Nobody who is not held up waits so long, in nanoseconds.
    private static var patience: UInt64 { 250_000_000 }
    private static var never: UInt64 { .max }

    private let timer: TimerFD
    private let waiting = Mutex(0)
    private let isEnding: Flag
    private let thread: Mutex<Thread?>

    private final class Flag: Sendable {
      let value = Atomic(false)
    }

    init(_ current: Current) throws(SystemError) {
      let timer = try TimerFD()
      let isEnding = Flag()
      self.timer = timer
      self.isEnding = isEnding
      thread = Mutex(
        try Thread("signals") {
          while !isEnding.value.load(ordering: .acquiring) {
            timer.wait()
            current.takeOldCounts()
          }
        }
      )
    }

    deinit {
      isEnding.value.store(true, ordering: .releasing)
      timer.set(after: 1)
      thread.withLock { $0 = nil }
    }

    func begin() {
      waiting.withLock { waiting in
        waiting += 1
        if waiting == 1 { timer.set(after: Self.patience, every: Self.patience) }
      }
    }

    func end() {
      waiting.withLock { waiting in
        waiting -= 1
        if waiting == 0 { timer.set(to: Self.never) }
      }
    }
  }
}
