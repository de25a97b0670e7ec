package import GuestMemory
import HostOS
import Synchronization

/// Memory that changes under a device, as that of a device process does.
extension VirtioDeviceController {
  /// Uses `memory` from now on.
  ///
  /// Returns only when nothing of the device touches the memory before. Requests that were taken are ended
  /// first, and the queues go on where they stood. Where a queue is not in the new memory, the device
  /// waits for memory that has it: whoever rearranges memory may take it away for a moment.
  package func replaceMemory(with memory: GuestMemory) {
    transition.withLock { transition in
      if transition.activity == .active { park(&transition) }
      setMemory(memory)
      guard transition.activity == .parked, !transition.isHeld else { return }
      resume(in: memory, &transition)
    }
  }

  func park(_ transition: inout Transition) {
    device.suspend()
    for index in kicks.indices {
      if let state = signals.takeState(of: index) { transition.states[index] = state }
    }
    transition.activity = .parked
  }

  func resume(in memory: GuestMemory, _ transition: inout Transition) {
    // What is broken stays so until the driver resets it.
    guard !signals.status.contains(.needsReset) else { return }
    var queues = enabledQueues()
    for index in queues.indices {
      guard var queue = queues[index] else { continue }
      if let state = transition.states[index] { queue.state = state }
      do throws(VirtqueueError) {
        try queue.check(in: memory)
      } catch {
        if case .outsideMemory = error { return }
        signals.needsReset("queue \(index): \(error)")
        return
      }
      queues[index] = queue
    }
    start(queues, in: memory, &transition)
    // A kick that came while nobody listened may have been taken by the thread that has ended.
    for kick in kicks { kick.signal() }
  }
}
