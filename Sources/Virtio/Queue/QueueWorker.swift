import GuestMemory
public import HostOS
import Synchronization

/// One thread that serves some queues of one device.
///
/// It waits for kicks, for what its service waits for, and for the order to stop. Any thread may give
/// that order but the worker's own; a service never has more than a bounded piece of work between two
/// looks at it, whatever the driver does.
public final class QueueWorker: Sendable {
  private let shared: Shared
  private let thread: Mutex<Thread?>

  /// What the two threads have in common.
  final class Shared: Sendable {
    let isStopping = Atomic(false)
    let wake: EventFD
    let states = Mutex<[VirtqueueState]>([])

    init() throws(SystemError) { wake = try EventFD() }
  }

  /// Starts serving.
  ///
  /// - Parameters:
  ///   - name: The thread's name.
  ///   - queues: The queues, in the order in which ``stop()`` returns their states.
  ///   - activation: The memory that they are in, and the device's signals.
  ///   - makeService: Makes the service, on the new thread.
  /// - Throws: `SystemError` if the host has no room for another thread or descriptor.
  public init(
    _ name: String,
    serving queues: [VirtqueueConfiguration],
    of activation: VirtioActivation,
    _ makeService: @escaping @Sendable () -> any QueueService
  ) throws(SystemError) {
    let shared = try Shared()
    self.shared = shared
    shared.states.withLock { $0 = queues.map(\.state) }
    let (memory, signals) = (activation.memory, activation.signals)
    thread = Mutex(
      try Thread(name) {
        do {
          let loop = try QueueLoop(queues, in: memory, signals, shared, makeService())
          loop.run()
        } catch {
          signals.needsReset("\(error)")
        }
      }
    )
  }

  deinit {
    stop()
  }

  /// Ends the thread after the requests that it has taken, and waits for that.
  ///
  /// - Returns: Where each queue stands: no request is lost and none is done twice if another worker
  ///   takes up the queues from there.
  @discardableResult
  public func stop() -> [VirtqueueState] {
    shared.isStopping.store(true, ordering: .releasing)
    shared.wake.signal()
    let ended = thread.withLock { $0.take() }
    ended?.join()
    return shared.states.withLock { $0 }
  }
}
