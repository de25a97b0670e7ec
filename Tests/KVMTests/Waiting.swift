import Glibc
import HostOS
import Synchronization
import TestSupport

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
    isReadable(rawValue, within: milliseconds) && drain() > 0
  }
}
