import Platform
public import Virtio

/// Makes an entropy source for a machine that is another process's.
public enum ServedEntropy {
  /// Makes the device; `rate` is how many bytes the guest may take, `nil` as many as it likes.
  ///
  /// - Throws: `SystemError` if the host has no room for a clock.
  public static func make(_ rate: RateLimit.Rate?) throws -> Entropy {
    let limiter = try rate.map { RateLimiter(RateLimit(bytes: $0), clock: try HostClock()) }
    return Entropy(name: "entropy", limiter: limiter)
  }
}
