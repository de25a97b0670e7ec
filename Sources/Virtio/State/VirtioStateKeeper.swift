import Synchronization

/// Keeps the state of a device in a file while it works.
final class VirtioStateKeeper: Sendable {
  private let file: VirtioStateFile
  private let sizes: [UInt16]
  private let state: @Sendable () -> VirtioFunctionState?
  // Where queues stand that were left in order, until they are served: what they note of themselves counts from then on.
  private let places = Mutex<[Int: VirtqueueState]>([:])

  /// For a device with queues of these sizes at most; `state` makes the state on any thread.
  ///
  /// `nil` if the file has not the room for what such queues have under way.
  init?(
    _ file: VirtioStateFile,
    sizes: [UInt16],
    _ state: @escaping @Sendable () -> VirtioFunctionState?
  ) {
    self.file = file
    self.sizes = sizes
    self.state = state
    guard region(isPacked: true) != nil, region(isPacked: false) != nil else { return nil }
  }

  /// Where queues of one kind note what is under way.
  func region(isPacked: Bool) -> InflightRegion? {
    file.region(queueCount: sizes.count, queueSize: sizes.max() ?? 0, isPacked: isPacked)
  }

  /// Notes where the queues of `state` stand, which was left in order.
  func notePlaces(of state: VirtioFunctionState) {
    places.withLock { places in
      for (index, queue) in state.queues.enumerated() { places[index] = queue.place }
    }
  }

  /// Keeps the state as it is now.
  func keep() { keep { _ in } }

  /// Keeps the state as it is about to be.
  func keep(_ change: (inout VirtioFunctionState) -> Void) {
    file.keep {
      guard var state = state() else { return nil }
      change(&state)
      guard state.status.contains(.driverOK) else { return state }
      places.withLock { places in
        for index in state.queues.indices where state.queues[index].place == nil {
          state.queues[index].place = places[index]
        }
      }
      return state
    }
  }

  /// Forgets what was under way on all queues, none of which the kept state has in use.
  func forgetAll() {
    places.withLock { $0 = [:] }
    region(isPacked: true)?.clear()
  }

  /// Forgets what was under way on a queue that the kept state has disabled.
  func forget(_ queue: Int, isPacked: Bool) {
    places.withLock { $0[queue] = nil }
    region(isPacked: isPacked)?.clear(queue)
  }
}
