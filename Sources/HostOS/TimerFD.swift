import CLinux
import Glibc

/// A one-shot timer of the host that a thread waits on (timerfd_create(2)).
///
/// Any thread may set it; one thread waits. On `CLOCK_MONOTONIC`, close-on-exec, blocking.
public final class TimerFD: Sendable {
  private let descriptor: OwnedFileDescriptor

  /// Makes a timer that is not set.
  public init() throws(SystemError) {
    let number = try retrying("timerfd_create") {
      timerfd_create(CLOCK_MONOTONIC, Int32(TFD_CLOEXEC))
    }
    descriptor = OwnedFileDescriptor(adopting: number)
  }

  /// The descriptor's number, valid while this object lives; readable once the time has come.
  public var rawValue: Int32 { descriptor.rawValue }

  /// Sets the timer, replacing what it was set to.
  ///
  /// - Parameter deadline: Nanoseconds of `CLOCK_MONOTONIC`; one that has passed fires at once.
  public func set(to deadline: UInt64) {
    // A time of zero would stop the timer (timerfd_settime(2)).
    let moment = min(max(deadline, 1), UInt64(Int64.max))
    var setting = itimerspec()
    setting.it_value.tv_sec = Int(moment / 1_000_000_000)
    setting.it_value.tv_nsec = Int(moment % 1_000_000_000)
    // SAFETY: the setting is a live local; nothing is written back.
    _ = unsafe timerfd_settime(descriptor.rawValue, Int32(TFD_TIMER_ABSTIME), &setting, nil)
  }

  /// Sets the timer to expire so many nanoseconds from now, replacing what it was set to.
  ///
  /// - Parameters:
  ///   - nanoseconds: When it first expires.
  ///   - interval: When it does so again and again after that; 0 for once.
  public func set(after nanoseconds: UInt64, every interval: UInt64 = 0) {
    let wait = min(max(nanoseconds, 1), UInt64(Int64.max))
    var setting = itimerspec()
    setting.it_value.tv_sec = Int(wait / 1_000_000_000)
    setting.it_value.tv_nsec = Int(wait % 1_000_000_000)
    let pause = min(interval, UInt64(Int64.max))
    setting.it_interval.tv_sec = Int(pause / 1_000_000_000)
    setting.it_interval.tv_nsec = Int(pause % 1_000_000_000)
    // SAFETY: as above.
    _ = unsafe timerfd_settime(descriptor.rawValue, 0, &setting, nil)
  }

  /// Waits until the time has come.
  public func wait() {
    var count: UInt64 = 0
    // SAFETY: eight bytes are written to a live local. A signal ends the wait early, as if the
    // time had come: whoever waits looks at the clock anyway.
    _ = unsafe Glibc.read(descriptor.rawValue, &count, 8)
  }
}
