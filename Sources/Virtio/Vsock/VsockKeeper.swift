import HostOS
import Synchronization

/// Keeps the connections of a socket device while nobody serves its queues.
final class VsockKeeper: Sendable {
  // Sendable: the service is used on the thread of the queues, and by nobody between the end of one and the
  // begin of the next, which ``QueueWorkers`` waits for.
  private struct Kept: @unchecked Sendable {
    var service: VsockService?
  }

  private let kept = Mutex(Kept())

  init() {}

  /// The service that was there before, for another activation, or a new one.
  func take(
    _ shared: VsockShared,
    _ activation: VirtioActivation
  ) throws(SystemError) -> VsockService {
    if let service = kept.withLock({ $0 }).service {
      service.resume(activation)
      return service
    }
    let service = try VsockService(shared, activation)
    let new = Kept(service: service)
    kept.withLock { $0 = new }
    return service
  }

  /// Lets go of the service, and of all connections with it.
  func drop() { kept.withLock { $0 = Kept() } }
}
