import Platform
import Synchronization

/// A machine that only remembers what the guest asked of it.
final class RecordingSystem: SystemControl {
  private let recorded = Mutex<[SystemEvent]>([])

  var events: [SystemEvent] { recorded.withLock { $0 } }
  func request(_ event: SystemEvent) { recorded.withLock { $0.append(event) } }
}
