public import HostOS

/// What a device does with its queues, on the one thread of a ``QueueWorker``.
public protocol QueueService: AnyObject {
  /// Serves some of the chains of `queue`, a bounded number of bounded requests.
  ///
  /// The worker publishes what was completed and interrupts the driver where it asked for that.
  ///
  /// - Returns: What the worker does next with this queue.
  /// - Throws: ``VirtqueueError``, after which nobody serves the device's queues until its reset.
  func serve(_ queue: inout Virtqueue) throws(VirtqueueError) -> QueueOutcome

  /// Puts back or completes the chains of `queue` that are under way; it is not served any more.
  func finish(_ queue: inout Virtqueue)
}

extension QueueService {
  /// Does nothing, for a service that ends each chain before it takes the next.
  public func finish(_ queue: inout Virtqueue) {}
}

/// How a queue stands after some of it was served.
public enum QueueOutcome: Sendable {
  /// No chain is left; the next comes with a kick.
  case drained
  /// There may be more to do at once.
  case busy
  /// Nothing can be done until the descriptor with this number is ready.
  case blocked(on: Int32, for: Poller.Interest)
  /// The queue is never served again before a reset.
  case ended
}
