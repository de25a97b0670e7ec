import GuestMemory
import HostOS
import Synchronization

/// The device status and its transitions (virtio 1.2, 2.1 and 3.1).
extension VirtioDeviceController {
  /// The device status as the driver reads it.
  ///
  /// It reads as before until a reset that another vCPU asked for is over.
  public var status: VirtioStatus { signals.status }

  /// Applies a driver's write to the device status; 0 resets the device.
  ///
  /// Returns when the transition is over: after DRIVER_OK the device runs, after 0 none of its
  /// threads touches guest memory any more.
  public func writeStatus(_ value: UInt8) {
    transition.withLock { transition in
      let wanted = VirtioStatus(rawValue: value)
      if wanted.isEmpty { stop(&transition) } else { advance(to: wanted, &transition) }
    }
  }

  /// Resets the device, as a driver's write of 0 to the status does.
  public func reset() {
    transition.withLock { stop(&$0) }
  }

  /// Stops the device and forgets what the driver wrote; the transition lock is held.
  func stop(_ transition: inout Transition) {
    device.reset()
    transition = Transition(isHeld: transition.isHeld)
    for kick in kicks { kick.drain() }
    registers.withLock { registers in
      registers = Registers(
        queues: registers.queues.map { QueueRegisters(maximumSize: $0.maximumSize) }
      )
    }
    if let keeper {
      // In this order: what is enabled and not in the notes begins anew.
      keeper.keep { $0.status = [] }
      keeper.forgetAll()
    }
    // Last, since a driver that reads 0 here may begin anew (4.1.4.3.1, 2.4.2).
    signals.reset()
  }

  /// Takes the steps that the driver asks for; the transition lock is held.
  private func advance(to wanted: VirtioStatus, _ transition: inout Transition) {
    let current = signals.status
    // 2.1.1 forbids clearing a bit other than by a reset; DEVICE_NEEDS_RESET is ours alone.
    if !current.subtracting(.needsReset).isSubset(of: wanted) {
      signals.log.warning("driver clears bits of status \(current.rawValue): ignored")
    }
    var new = wanted.subtracting(current).intersection([
      .acknowledge, .driver, .driverOK, .featuresOK, .failed,
    ])
    if new.contains(.featuresOK), let objection = objection(to: self.wanted) {
      // 2.2.2: the bit stays clear, which is how the driver learns it.
      signals.log.warning("driver accepts \(objection): FEATURES_OK refused")
      new.remove(.featuresOK)
    }
    if new.contains(.driverOK), !current.union(new).contains(.featuresOK) {
      // 3.1.1 orders FEATURES_OK before DRIVER_OK.
      signals.log.warning("driver sets DRIVER_OK without FEATURES_OK: ignored")
      new.remove(.driverOK)
    }
    if new.contains(.failed) { signals.log.warning("driver has given up on the device") }
    guard new.contains(.driverOK) else {
      signals.insert(new)
      return
    }
    // Queues that are enabled from here on come too late: what counts is what activation finds.
    if signals.insert(new).contains(.needsReset) {
      signals.announceNeededReset()
    } else {
      // Before anything is taken: whoever finds a driver that is not ready forgets what is under way.
      keeper?.keep()
      activate(&transition)
    }
  }

  private func activate(_ transition: inout Transition) {
    let memory = memory
    let queues = enabledQueues()
    for queue in queues {
      guard let queue else { continue }
      do throws(VirtqueueError) {
        // Again: a driver that enabled it before FEATURES_OK may have chosen another kind of ring
        // since.
        try queue.check(in: memory)
      } catch {
        signals.needsReset("queue \(queue.index): \(error)")
        return
      }
    }
    start(queues, in: memory, &transition)
  }

  /// The queues as the device will see them, new ones; `nil` for those that are not enabled.
  func enabledQueues() -> [VirtqueueConfiguration?] {
    let features = wanted
    return registers.withLock { registers in
      registers.queues.indices.map { index in
        let queue = registers.queues[index]
        return queue.isEnabled ? configuration(queue, index, features: features) : nil
      }
    }
  }

  /// Starts the device with queues that have been checked; the transition lock is held.
  func start(
    _ queues: [VirtqueueConfiguration?],
    in memory: GuestMemory,
    _ transition: inout Transition
  ) {
    // What an earlier driver's queues left behind.
    for index in queues.indices { _ = signals.takeState(of: index) }
    do {
      try device.activate(
        VirtioActivation(features: wanted, memory: memory, queues: queues, signals: signals)
      )
      transition.activity = .active
    } catch {
      signals.needsReset("cannot start: \(error)")
    }
  }
}
