import HostOS
import Synchronization

/// The reset of one queue while the device runs, and its way back (virtio 1.2, 2.6.1).
extension VirtioDeviceController {
  /// Resets the selected queue: nothing of the device touches it or its buffers any more once this
  /// returns, and its registers are as they were before the driver wrote any.
  ///
  /// Nothing happens where `VIRTIO_F_RING_RESET` was not agreed on, or the queue is not enabled.
  ///
  /// - Returns: The queue's number, if it was reset.
  @discardableResult
  public func resetQueue() -> Int? {
    transition.withLock { transition in
      // Once: another vCPU may select another queue meanwhile.
      let (index, isEnabled) = registers.withLock { registers in
        let index = Int(registers.queueSelect)
        let isThere = registers.queues.indices.contains(index)
        return (index, isThere && registers.queues[index].isEnabled)
      }
      guard hasRingReset else {
        signals.log.warning("driver resets queue \(index) without VIRTIO_F_RING_RESET: ignored")
        return nil
      }
      guard isEnabled else { return nil }
      if transition.activity == .active { device.resetQueue(index) }
      // Where it stood is of no use to the next, which may be enabled while the memory is away.
      transition.states[index] = nil
      _ = signals.takeState(of: index)
      kicks[index].drain()
      registers.withLock { registers in
        registers.queues[index] = QueueRegisters(
          maximumSize: registers.queues[index].maximumSize
        )
      }
      if let keeper {
        // In this order: what is enabled and not in the notes begins anew.
        keeper.keep()
        keeper.forget(index, isPacked: wanted.contains(.packedRing))
      }
      return index
    }
  }

  /// Takes up a queue that the driver has enabled again; the device runs.
  ///
  /// A queue that was never enabled before DRIVER_OK may come this way too: it is as one that has been
  /// reset (2.6.1.2).
  func restartQueue() {
    transition.withLock { transition in
      // The status may have changed while this waited for a reset.
      guard signals.status.contains(.driverOK), !signals.status.contains(.needsReset) else {
        return
      }
      let features = wanted
      let queue: (Int, QueueRegisters)? = registers.withLock { registers in
        let index = Int(registers.queueSelect)
        guard registers.queues.indices.contains(index), !registers.queues[index].isEnabled else {
          return nil
        }
        registers.queues[index].isEnabled = true
        return (index, registers.queues[index])
      }
      guard let (index, registers) = queue else { return }
      // Before anything is taken: whoever finds a queue that is not enabled forgets what it has under way.
      keeper?.keep()
      // A parked device finds it when its memory is back.
      guard transition.activity == .active else {
        if registers.size > registers.maximumSize {
          let error = VirtqueueError.sizeAboveMaximum(
            registers.size,
            maximum: registers.maximumSize
          )
          self.registers.withLock { $0.queues[index].isEnabled = false }
          signals.needsReset("queue \(index): \(error)")
        }
        return
      }
      _ = signals.takeState(of: index)
      do {
        try check(registers, index, features: features)
        try device.restartQueue(configuration(registers, index, features: features))
      } catch {
        self.registers.withLock { $0.queues[index].isEnabled = false }
        signals.needsReset("queue \(index): \(error)")
      }
    }
  }

  /// Whether the driver may reset queues.
  var hasRingReset: Bool { offered.intersection(wanted).contains(.ringReset) }
}
