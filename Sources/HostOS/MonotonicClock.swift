import CLinux
import Glibc

/// The host's clock that nobody sets (clock_gettime(2), `CLOCK_MONOTONIC`), for time limits and pauses.
public enum MonotonicClock {
  /// Nanoseconds since some moment before this process began; any thread may ask.
  public static var nanoseconds: UInt64 {
    var time = timespec()
    // SAFETY: the call fills a live local.
    _ = unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
  }

  /// The same in whole seconds.
  public static var seconds: UInt64 { nanoseconds / 1_000_000_000 }
}
