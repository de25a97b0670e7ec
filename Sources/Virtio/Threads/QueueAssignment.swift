import GuestMemory
import HostOS
import Synchronization

/// Some queues of one device and who serves them, as a ``QueueWorker`` hands them to a
/// ``QueueThread``; and the way back for answers.
final class QueueAssignment: Sendable {
  let queues: [VirtqueueConfiguration]
  let memory: GuestMemory
  let signals: VirtioSignals
  let makeService: @Sendable () -> any QueueService

  /// Where queues stand that are not served any more, by index.
  private let states: Mutex<[Int: VirtqueueState]>
  private let isAnswered = Atomic(false)
  private let answer: EventFD

  init(
    _ queues: [VirtqueueConfiguration],
    of activation: VirtioActivation,
    _ makeService: @escaping @Sendable () -> any QueueService
  ) throws(SystemError) {
    self.queues = queues
    memory = activation.memory
    signals = activation.signals
    self.makeService = makeService
    states = Mutex(
      Dictionary(queues.map { ($0.index, $0.state) }, uniquingKeysWith: { first, _ in first })
    )
    answer = try EventFD()
  }

  /// Where queue `index` stood when it was last stopped, or taken up.
  func state(of index: Int) -> VirtqueueState? { states.withLock { $0[index] } }

  /// Notes where a queue stands; on the queue's thread.
  func note(_ state: VirtqueueState?, of index: Int) {
    states.withLock { $0[index] = state }
  }

  /// Tells the thread that waits in ``waitForAnswer()`` that its request is done.
  func reply() {
    isAnswered.store(true, ordering: .releasing)
    answer.signal()
  }

  /// Waits for the answer to the one request that is under way.
  func waitForAnswer() {
    // A signal handler may end the wait early.
    while !isAnswered.load(ordering: .acquiring) {
      answer.wait()
      // Of an answer that was seen before its bell, the bell rings now.
      answer.drain()
    }
    isAnswered.store(false, ordering: .relaxed)
  }
}
