import HostOS
import Synchronization

/// Holds vCPU threads outside of the guest while another thread looks at their state.
///
/// Each thread calls ``park()`` when it is asked to, and is let go when the one who asked is done. A thread that comes
/// late goes straight on.
final class ProcessorPause: Sendable {
  private let arrivals: EventFD
  private let gate = Mutex(())

  init() throws(SystemError) { arrivals = try EventFD() }

  /// Waits until the pause is over; on a vCPU's thread.
  func park() {
    arrivals.signal()
    gate.withLock { _ in }
  }

  /// Has `count` threads come and runs `body` while they wait.
  ///
  /// - Parameters:
  ///   - count: How many are to come.
  ///   - limit: How long to wait for them, in milliseconds.
  ///   - ask: Asks them; what they had not been asked for before.
  ///   - body: What is to be done.
  /// - Returns: What `body` returns; `nil` if not all have come.
  /// - Throws: What `body` throws.
  func hold<Result>(
    _ count: Int,
    limit: UInt64,
    ask: () -> Void,
    _ body: () throws -> Result
  ) throws -> Result? {
    try gate.withLock { _ -> Result? in
      ask()
      let end = MonotonicClock.nanoseconds &+ limit &* 1_000_000
      let poller = try Poller()
      try poller.add(arrivals.rawValue, token: 0)
      var arrived: UInt64 = 0
      while true {
        arrived += arrivals.drain()
        if arrived >= count { return try body() }
        let now = MonotonicClock.nanoseconds
        guard now < end else { return nil }
        try poller.wait(timeout: Int32((end - now) / 1_000_000 + 1)) { _ in }
      }
    }
  }
}
