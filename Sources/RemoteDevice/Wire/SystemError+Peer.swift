import Glibc
import HostOS

extension SystemError {
  /// Whether it says that nobody is at the other end of a socket any more.
  var isPeerGone: Bool { code == EPIPE || code == ECONNRESET }
}
