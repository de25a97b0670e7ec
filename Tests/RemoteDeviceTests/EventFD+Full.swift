import Glibc
import HostOS

extension EventFD {
  /// Fills the count, so that whoever signals next waits for room.
  func makeFullAndBlocking() throws {
    // Before it is a blocking one, where a read of nothing would wait.
    drain()
    let flags = fcntl(rawValue, F_GETFL, 0)
    _ = fcntl(rawValue, F_SETFL, flags & ~O_NONBLOCK)
    var count = UInt64.max - 1
    guard write(rawValue, &count, 8) == 8 else {
      throw SystemError(call: "write", code: errno)
    }
  }
}
