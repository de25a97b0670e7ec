import Glibc
import HostOS

/// How many descriptors the process has open.
///
/// What it opens once, when it first signals a peer, is open from the first call on.
public func countOpen() -> Int {
  _ = openedOnce
  guard let folder = opendir("/proc/self/fd") else { return 0 }
  defer { closedir(folder) }
  var count = 0
  while readdir(folder) != nil { count += 1 }
  return count
}

private let openedOnce: Void = {
  guard let event = try? EventFD() else { return }
  _ = event.share()
  event.signal()
}()
