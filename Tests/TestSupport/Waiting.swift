import Glibc

/// Waits until `condition` holds; false if it does not within `seconds`.
public func waitUntil(
  seconds: Int = 10,
  _ condition: () throws -> Bool
) rethrows -> Bool {
  let end = ContinuousClock.now + .seconds(seconds)
  while true {
    if try condition() { return true }
    if ContinuousClock.now > end { return false }
    usleep(50)
  }
}
