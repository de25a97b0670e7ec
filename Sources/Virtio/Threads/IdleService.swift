/// Serves nothing, of a device that could not be started.
final class IdleService: QueueService {
  func serve(_ queue: inout Virtqueue) -> QueueOutcome { .ended }
}
