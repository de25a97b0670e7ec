import ArgumentParser
import Virtio

/// A rate a second, `100M` or `100M/5M` with what may come at once; units as for sizes.
struct RateOption: ExpressibleByArgument {
  let rate: RateLimit.Rate

  init?(argument: String) {
    guard let rate = Self.rate(argument) else { return nil }
    self.rate = rate
  }

  /// Reads a rate; `nil` if it is none.
  static func rate(_ text: String) -> RateLimit.Rate? {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    guard parts.count <= 2, let rate = ByteSize(argument: parts[0]), rate.bytes > 0 else {
      return nil
    }
    guard parts.count == 2 else { return RateLimit.Rate(perSecond: rate.bytes) }
    guard let burst = ByteSize(argument: parts[1]), burst.bytes > 0 else { return nil }
    return RateLimit.Rate(perSecond: rate.bytes, burst: burst.bytes)
  }
}
