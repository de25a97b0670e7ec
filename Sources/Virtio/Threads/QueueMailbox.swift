import HostOS
import Synchronization

/// What other threads ask of a queue's thread, in the order in which they ask.
final class QueueMailbox: Sendable {
  /// A request; all but the first and the last are answered through the assignment.
  enum Request: Sendable {
    /// Serve these queues from now on.
    case attach(QueueAssignment)
    /// Serve none of them any more.
    case detach(QueueAssignment)
    /// Serve this one of them no more.
    case stopQueue(Int, QueueAssignment)
    /// Serve this one of them from now on.
    case startQueue(VirtqueueConfiguration, QueueAssignment)
    /// End, with everything that is still attached.
    case end
  }

  /// Readable while there is post.
  let wake: EventFD
  private let isPosted = Atomic(false)
  private let requests = Mutex<[Request]>([])

  init() throws(SystemError) { wake = try EventFD() }

  /// Whether there is post, for a look without a lock.
  var hasPost: Bool { isPosted.load(ordering: .acquiring) }

  /// Adds a request and wakes the thread.
  func post(_ request: Request) {
    requests.withLock { $0.append(request) }
    isPosted.store(true, ordering: .releasing)
    wake.signal()
  }

  /// Takes all that has come.
  func take() -> [Request] {
    wake.drain()
    isPosted.store(false, ordering: .sequentiallyConsistent)
    return requests.withLock { requests in
      defer { requests = [] }
      return requests
    }
  }
}
