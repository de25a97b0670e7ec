import HostOS

/// When a remote's time is up.
struct MPQEMUDeadline {
  /// How long it has from the beginning.
  let milliseconds: Int
  private let end: UInt64

  init(milliseconds: Int) {
    self.milliseconds = milliseconds
    end = MonotonicClock.nanoseconds &+ UInt64(milliseconds) &* 1_000_000
  }

  /// Waits for a descriptor, once.
  ///
  /// - Returns: `false` if the time was up already.
  func wait(_ number: Int32, for interest: Poller.Interest) -> Bool {
    let now = MonotonicClock.nanoseconds
    guard now < end else { return false }
    var list = PollList()
    _ = list.add(number, for: interest)
    list.wait(timeout: Int32(clamping: (end - now) / 1_000_000 + 1))
    return true
  }
}
