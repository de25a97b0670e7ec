import HostOS
import PCI
import RemoteDevice
import Virtio

/// Saving a device that has a process of its own, and having a process go on as one that was saved, wherever it was then.
extension IsolatedProcess {
  /// Has the process end in order, and no other start before ``release()``.
  ///
  /// - Throws: ``SnapshotError/mismatch(_:)`` if it does not, so that nobody knows where the device stands; another takes over then.
  func hold() throws(SnapshotError) {
    do throws(SystemError) {
      if try supervisor.hold() { return }
    } catch {
      throw .mismatch("\(name): \(error)")
    }
    throw .mismatch("\(name), whose process does not end in order; ask again")
  }

  /// Has a process serve the device.
  func release() { supervisor.release() }

  /// What the process has left, as a device in this process would save it; it is held.
  ///
  /// - Parameter function: What is here of the device: the header of its registers, and its MSI-X table.
  /// - Returns: The state.
  /// - Throws: ``SnapshotError/mismatch(_:)`` if there is none.
  func savedState(of function: any PCIFunction) throws(SnapshotError) -> VirtioFunctionState {
    var state = try load()
    let isServed = state.status.contains(.driverOK) && !state.status.contains(.needsReset)
    guard !isServed || state.queues.allSatisfy({ !$0.isEnabled || $0.place != nil }) else {
      throw .mismatch("\(name), whose process has not left its queues in order; ask again")
    }
    // What is kept here is here as the guest has written it.
    let own = function.configuration.savedState.words
    for index in state.configuration.words.indices {
      let word = state.configuration.words[index]
      guard let kept = own.first(where: { $0.index == word.index }) else { continue }
      let mask = kept.mask & word.mask
      state.configuration.words[index].value = word.value & ~mask | kept.value & mask
    }
    state.msix = function.msix?.savedState
    return state
  }

  /// Has the next process go on as the function that `saved` is the state of, from ``release()`` on.
  ///
  /// - Throws: ``SnapshotError/mismatch(_:)`` if it cannot.
  func restore(_ saved: VirtioFunctionState, to function: any PCIFunction) throws(SnapshotError) {
    try hold()
    let own = try load()
    try check(saved, own, function)
    var state = saved
    // The process's table is a new one: it has eventfds, which it gets again.
    state.msix = own.msix
    do {
      try openState().replace(with: state)
    } catch {
      throw .mismatch("\(name): \(error)")
    }
    var kept = function.configuration.savedState
    for index in kept.words.indices {
      let word = kept.words[index]
      guard let value = saved.configuration.words.first(where: { $0.index == word.index })?.value
      else { continue }
      kept.words[index].value = value
    }
    function.configuration.restore(kept)
    if let msix = saved.msix { function.msix?.restore(msix) }
  }

  private func check(
    _ saved: VirtioFunctionState,
    _ own: VirtioFunctionState,
    _ function: any PCIFunction
  ) throws(SnapshotError) {
    var problem: VirtioStateError?
    let vectors = (saved: saved.msix?.entries.count ?? 0, own: function.msix?.vectorCount ?? 0)
    func isOther(_ left: PCIConfigurationState, _ right: PCIConfigurationState) -> Bool {
      left.identity != right.identity || left.words.map(\.index) != right.words.map(\.index)
        || left.words.map(\.mask) != right.words.map(\.mask)
    }
    if saved.type != own.type {
      problem = .otherDevice(saved: saved.type.rawValue, own: own.type.rawValue)
    } else if saved.queues.count != own.queues.count {
      problem = .queueCount(saved: saved.queues.count, own: own.queues.count)
    } else if vectors.saved != vectors.own {
      problem = .vectorCount(saved: vectors.saved, own: vectors.own)
    } else if isOther(saved.configuration, own.configuration) {
      problem = .otherRegisters
    } else if !saved.offered.isSubset(of: own.offered) {
      problem = .features(saved: saved.offered.rawValue, own: own.offered.rawValue)
    }
    for (index, queue) in saved.queues.enumerated() where problem == nil && queue.isEnabled {
      let maximum = own.queues[index].size
      if queue.size > maximum {
        problem = .queueSize(queue: index, saved: queue.size, maximum: maximum)
      }
    }
    guard let problem else { return }
    throw .mismatch("\(name): \(problem); give it the device that it was saved with")
  }

  private func load() throws(SnapshotError) -> VirtioFunctionState {
    do {
      if let state = try openState().load() { return state }
    } catch {
      throw .mismatch("\(name), whose process has left \(error)")
    }
    throw .mismatch("\(name), whose process has left nothing")
  }
}
