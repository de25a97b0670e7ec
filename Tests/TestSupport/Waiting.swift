import Glibc

/// Waits until `condition` holds; false if it does not within `seconds`, which are many for busy hosts.
public func waitUntil(
  seconds: Int = 30,
  _ condition: () throws -> Bool
) rethrows -> Bool {
  let end = ContinuousClock.now + .seconds(seconds)
  while true {
    if try condition() { return true }
    if ContinuousClock.now > end { return false }
    usleep(50)
  }
}

/// Whether a descriptor becomes readable within some milliseconds, or is already.
public func isReadable(_ descriptor: Int32, within milliseconds: Int32 = 0) -> Bool {
  var item = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
  return poll(&item, 1, milliseconds) == 1
}
