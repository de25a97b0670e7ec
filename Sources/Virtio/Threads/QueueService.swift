public import HostOS

/// What a device does with some of its queues, on the one thread of a ``QueueThread``.
public protocol QueueService: AnyObject {
  /// Serves some of the chains of `queue`, a bounded number of bounded requests.
  ///
  /// The thread publishes what was completed and interrupts the driver where it asked for that.
  ///
  /// - Returns: What the thread does next with this queue.
  /// - Throws: ``VirtqueueError``, after which nobody serves the device's queues until its reset.
  func serve(_ queue: inout Virtqueue) throws(VirtqueueError) -> QueueOutcome

  /// Puts back or completes the chains of `queue` that are under way; it is not served any more.
  ///
  /// Afterwards nothing that the service began touches guest memory on behalf of this queue. The
  /// service may live on: the queue may begin anew, at another place.
  func finish(_ queue: inout Virtqueue)

  /// A descriptor that is readable when work has ended that goes on outside of the thread; it stays
  /// the same as long as the service lives.
  ///
  /// While it is readable, every queue of the service is served, whether or not there was a kick.
  var completions: Int32? { get }

  /// Whether such work has ended, found out without the kernel; for a thread that polls.
  var hasCompletions: Bool { get }
}

extension QueueService {
  /// Does nothing, for a service that ends each chain before it takes the next.
  public func finish(_ queue: inout Virtqueue) {}
  /// Nothing goes on outside of the thread.
  public var completions: Int32? { nil }
  /// Nothing that could be seen without the kernel.
  public var hasCompletions: Bool { false }
}

/// How a queue stands after some of it was served.
public enum QueueOutcome: Sendable {
  /// No chain is left; the next comes with a kick.
  case drained
  /// There may be more to do at once.
  case busy
  /// Nothing more can be taken until ``QueueService/completions`` is readable.
  case waiting
  /// Nothing can be done until the descriptor with this number is ready.
  case blocked(on: Int32, for: Poller.Interest)
  /// The queue is not served again before it or the device is reset.
  case ended
}
