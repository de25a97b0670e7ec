/// Keeps the state of a device in a file while it works.
final class VirtioStateKeeper: Sendable {
  private let file: VirtioStateFile
  private let sizes: [UInt16]
  private let state: @Sendable () -> VirtioFunctionState?

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

  /// Keeps the state as it is now.
  func keep() { file.keep(state) }

  /// Keeps the state as it is about to be.
  func keep(_ change: (inout VirtioFunctionState) -> Void) {
    file.keep {
      guard var state = state() else { return nil }
      change(&state)
      return state
    }
  }

  /// Forgets what was under way on all queues, none of which the kept state has in use.
  func forgetAll() { region(isPacked: true)?.clear() }

  /// Forgets what was under way on a queue that the kept state has disabled.
  func forget(_ queue: Int, isPacked: Bool) { region(isPacked: isPacked)?.clear(queue) }
}
