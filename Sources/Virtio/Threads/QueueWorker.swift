import GuestMemory
public import HostOS
import Synchronization

/// Some queues of one device on a ``QueueThread``: what a device keeps to stop them.
///
/// Any thread may call it but the queues' own; of several calls at once each waits for the others.
public final class QueueWorker: Sendable {
  private let thread: QueueThread
  private let assignment: QueueAssignment
  /// One request at a time, since there is one way back for answers.
  private let isStopped = Mutex(false)

  /// Starts serving, on a thread of its own.
  ///
  /// - Parameters:
  ///   - name: The thread's name.
  ///   - queues: The queues, in the order in which ``stop()`` returns their states.
  ///   - activation: The memory that they are in, and the device's signals.
  ///   - makeService: Makes the service, on the thread.
  /// - Throws: `SystemError` if the host has no room for another thread or descriptor.
  public convenience init(
    _ name: String,
    serving queues: [VirtqueueConfiguration],
    of activation: VirtioActivation,
    _ makeService: @escaping @Sendable () -> any QueueService
  ) throws(SystemError) {
    try self.init(on: QueueThread(name), serving: queues, of: activation, makeService)
  }

  /// Starts serving, on a thread that others may share.
  ///
  /// - Parameters:
  ///   - thread: Where `makeService` and everything that the service does is called.
  ///   - queues: The queues, in the order in which ``stop()`` returns their states; none are fine.
  ///   - activation: The memory that they are in, and the device's signals.
  ///   - makeService: Makes the service.
  /// - Throws: `SystemError` if the host has no descriptor left.
  public init(
    on thread: QueueThread,
    serving queues: [VirtqueueConfiguration],
    of activation: VirtioActivation,
    _ makeService: @escaping @Sendable () -> any QueueService
  ) throws(SystemError) {
    self.thread = thread
    assignment = try QueueAssignment(queues, of: activation, makeService)
    thread.mailbox.post(.attach(assignment))
  }

  deinit {
    stop()
  }

  /// Ends after the requests that have been taken, and waits for that.
  ///
  /// - Returns: Where each queue stands: no request is lost and none is done twice if another worker
  ///   takes up the queues from there.
  @discardableResult
  public func stop() -> [VirtqueueState] {
    isStopped.withLock { isStopped in
      guard !isStopped else { return }
      isStopped = true
      thread.mailbox.post(.detach(assignment))
      assignment.waitForAnswer()
    }
    return assignment.queues.map { assignment.state(of: $0.index) ?? $0.state }
  }

  /// Ends one queue after the requests that have been taken, and waits for that; the others go on.
  ///
  /// - Returns: Where the queue stands; `nil` if it was never among those that are served.
  @discardableResult
  public func stopQueue(_ index: Int) -> VirtqueueState? {
    ask(.stopQueue(index, assignment))
    return assignment.state(of: index)
  }

  /// Serves one queue from now on, unless it is being served; no effect on a worker that was stopped
  /// or has failed.
  public func startQueue(_ queue: VirtqueueConfiguration) {
    ask(.startQueue(queue, assignment))
  }

  /// Where queue `index` stood when it was last stopped, or taken up.
  func state(of index: Int) -> VirtqueueState? { assignment.state(of: index) }

  private func ask(_ request: QueueMailbox.Request) {
    isStopped.withLock { isStopped in
      guard !isStopped else { return }
      thread.mailbox.post(request)
      assignment.waitForAnswer()
    }
  }
}
