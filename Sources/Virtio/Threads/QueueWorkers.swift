public import HostOS
import Synchronization

/// The workers of one device while it is active: which of its queues go together, and on which
/// threads they are served.
///
/// Any thread may call it but the queues' own.
public final class QueueWorkers: Sendable {
  private let name: String
  private let groups: [[Int]]
  private let threads: [QueueThread]
  private let polling: QueuePolling
  private let state = Mutex(State())

  private struct State {
    var activation: VirtioActivation?
    var makeService: (@Sendable (_ group: Int) -> any QueueService)?
    /// By group; `nil` where no queue has been enabled yet.
    var workers: [QueueWorker?] = []
  }

  /// Describes who serves what.
  ///
  /// - Parameters:
  ///   - name: The device's name, of which threads get theirs.
  ///   - groups: The queues by number; those of one group share a service.
  ///   - threads: The groups are dealt out to these in turn; without any, each group gets one of its
  ///     own while the device is active.
  ///   - polling: How threads of its own poll.
  public init(
    _ name: String,
    groups: [[Int]],
    threads: [QueueThread] = [],
    polling: QueuePolling = .off
  ) {
    self.name = name
    self.groups = groups
    self.threads = threads
    self.polling = polling
  }

  /// Serves the queues that the driver has enabled.
  ///
  /// - Parameters:
  ///   - activation: What the device was given.
  ///   - makeService: Makes the service of a group, on its thread.
  /// - Throws: `SystemError` if the host has no room for a thread or descriptor; then nothing is
  ///   served.
  public func start(
    _ activation: VirtioActivation,
    _ makeService: @escaping @Sendable (_ group: Int) -> any QueueService
  ) throws(SystemError) {
    var workers: [QueueWorker?] = []
    for (number, group) in groups.enumerated() {
      let queues = group.compactMap { index in
        activation.queues.indices.contains(index) ? activation.queues[index] : nil
      }
      guard !queues.isEmpty else {
        workers.append(nil)
        continue
      }
      workers.append(try makeWorker(number, queues, activation, makeService))
    }
    state.withLock { state in
      state = State(activation: activation, makeService: makeService, workers: workers)
    }
  }

  /// Ends all after the requests that have been taken, and waits for that.
  ///
  /// - Returns: Where each queue stands, by number.
  @discardableResult
  public func stop() -> [Int: VirtqueueState] {
    let ended = state.withLock { state in
      defer { state = State() }
      return state.workers
    }
    var states: [Int: VirtqueueState] = [:]
    for (group, worker) in zip(groups, ended) {
      guard let worker else { continue }
      worker.stop()
      for index in group { states[index] = worker.state(of: index) }
    }
    return states
  }

  /// Ends one queue after the requests that have been taken, and waits for that.
  ///
  /// - Returns: Where it stands; `nil` if it was not served.
  @discardableResult
  public func stopQueue(_ index: Int) -> VirtqueueState? {
    let worker = state.withLock { state in
      groups.firstIndex { $0.contains(index) }.flatMap { group in
        state.workers.indices.contains(group) ? state.workers[group] : nil
      }
    }
    return worker?.stopQueue(index)
  }

  /// Serves a queue from now on that is not being served; no effect while the device is not active.
  ///
  /// - Throws: `SystemError` if the host has no room for a thread or descriptor.
  public func startQueue(_ queue: VirtqueueConfiguration) throws(SystemError) {
    guard let group = groups.firstIndex(where: { $0.contains(queue.index) }) else { return }
    let (worker, activation, makeService) = state.withLock { state in
      (
        state.workers.indices.contains(group) ? state.workers[group] : nil,
        state.activation, state.makeService
      )
    }
    if let worker {
      worker.startQueue(queue)
    } else if let activation, let makeService {
      let worker = try makeWorker(group, [queue], activation, makeService)
      state.withLock { $0.workers[group] = worker }
    }
  }

  private func makeWorker(
    _ group: Int,
    _ queues: [VirtqueueConfiguration],
    _ activation: VirtioActivation,
    _ makeService: @escaping @Sendable (_ group: Int) -> any QueueService
  ) throws(SystemError) -> QueueWorker {
    let thread =
      try threads.isEmpty
      ? QueueThread(
        groups.count == 1 ? "virtio-\(name)" : "virtio-\(name).\(group)",
        polling: polling
      ) : threads[group % threads.count]
    return try QueueWorker(on: thread, serving: queues, of: activation) { makeService(group) }
  }
}
