import Glibc
import HostOS
import Synchronization

/// A number that threads share.
final class SharedNumber: Sendable {
  let value = Atomic(0)
}

/// A point in time that threads share.
final class SharedInstant: Sendable {
  let value: Mutex<ContinuousClock.Instant>

  init(_ value: ContinuousClock.Instant) { self.value = Mutex(value) }
}

extension EventFD {
  /// Waits for a signal and takes it; `false` if none comes in time.
  func wait(milliseconds: Int32) -> Bool {
    var request = pollfd(fd: rawValue, events: Int16(POLLIN), revents: 0)
    return poll(&request, 1, milliseconds) == 1 && drain() > 0
  }
}
