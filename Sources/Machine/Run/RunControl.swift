import HostOS
import Platform
import Synchronization

/// Where everything that ends a run comes together; the first reason counts.
///
/// Any thread may call; nothing waits. The machine's main thread waits for ``event``, and vCPU
/// threads look at ``isEnding`` after each exit.
final class RunControl: SystemControl {
  /// Signalled once there is an outcome.
  let event: EventFD
  private let outcome = Mutex<Outcome?>(nil)
  private let ending = Atomic(false)

  init() throws(SystemError) { event = try EventFD() }

  /// Whether the run is over and vCPUs should not go on.
  var isEnding: Bool { ending.load(ordering: .acquiring) }

  /// Why the run is over, or `nil` while it is not.
  var result: Outcome? { outcome.withLock { $0 } }

  func end(_ reason: Outcome) {
    let isFirst = outcome.withLock { outcome in
      guard outcome == nil else { return false }
      outcome = reason
      return true
    }
    guard isFirst else { return }
    ending.store(true, ordering: .releasing)
    event.signal()
  }

  func request(_ event: SystemEvent) {
    switch event {
    case .powerOff: end(.powerOff)
    case .reset: end(.reset)
    case .exit(let code): end(.exit(code))
    }
  }
}
