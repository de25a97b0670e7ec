import Glibc
import HostOS
import KVM
import Synchronization

/// Kicks a vCPU out of a guest that runs for too long, so that no test burns a core for ever.
final class Watchdog: Sendable {
  /// The guest ran for too long.
  struct Barked: Error {}

  private let end: EventFD
  private let shared: Shared
  private let thread: Mutex<Thread?>

  private final class Shared: Sendable {
    let hasBarked = Atomic(false)
  }

  /// Starts to watch; kicks after `milliseconds`, and again every 10 ms.
  init(_ kicker: VCPUKicker, milliseconds: Int32) throws {
    let end = try EventFD()
    let shared = Shared()

    self.end = end
    self.shared = shared
    thread = Mutex(
      try Thread("watchdog") {
        var timeout = milliseconds
        while true {
          var request = pollfd(fd: end.rawValue, events: Int16(POLLIN), revents: 0)
          guard poll(&request, 1, timeout) == 0 else { return }
          shared.hasBarked.store(true, ordering: .sequentiallyConsistent)
          kicker.kick()
          timeout = 10
        }
      }
    )
  }

  deinit { end.signal() }

  /// Throws if the limit has passed.
  func check() throws {
    if shared.hasBarked.load(ordering: .sequentiallyConsistent) { throw Barked() }
  }
}
