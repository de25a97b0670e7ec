import Synchronization

/// The registers of a device as they are saved and restored, and the pause for that.
extension VirtioDeviceController {
  /// Stops the device where it stands; at return nothing of it touches guest memory, and nothing is under way.
  ///
  /// Registers work meanwhile; memory may change.
  public func pause() {
    transition.withLock { transition in
      transition.isHeld = true
      if transition.activity == .active { park(&transition) }
    }
  }

  /// Goes on after ``pause()``, or after a state was restored.
  public func resume() {
    transition.withLock { transition in
      transition.isHeld = false
      if transition.activity == .parked { resume(in: memory, &transition) }
    }
  }

  /// Notes the registers, with the places of the queues of a device that is paused.
  func save(to state: inout VirtioFunctionState) {
    let places = transition.withLock { $0.activity == .parked ? $0.states : [:] }
    saveRegisters(to: &state)
    for index in state.queues.indices { state.queues[index].place = places[index] }
  }

  /// Notes the registers alone; a thread of the device may call, too.
  func saveRegisters(to state: inout VirtioFunctionState) {
    state.offered = offered
    state.status = signals.status
    state.generation = signals.configurationGeneration
    registers.withLock { registers in
      state.wanted = VirtioFeatures(rawValue: registers.driverFeatures)
      state.deviceFeatureSelect = registers.deviceFeatureSelect
      state.driverFeatureSelect = registers.driverFeatureSelect
      state.queueSelect = registers.queueSelect
      for (index, queue) in registers.queues.enumerated() {
        state.queues[index].size = queue.size
        state.queues[index].descriptorTable = queue.descriptorTable
        state.queues[index].availableRing = queue.availableRing
        state.queues[index].usedRing = queue.usedRing
        state.queues[index].isEnabled = queue.isEnabled
      }
    }
  }

  /// Finds out whether the registers can be as `state` has them.
  func check(_ state: VirtioFunctionState) throws(VirtioStateError) {
    guard state.type == device.type else {
      throw .otherDevice(saved: state.type.rawValue, own: device.type.rawValue)
    }
    guard state.queues.count == queueCount else {
      throw .queueCount(saved: state.queues.count, own: queueCount)
    }
    guard state.offered.isSubset(of: offered) else {
      throw .features(saved: state.offered.rawValue, own: offered.rawValue)
    }
    let known: VirtioStatus = [
      .acknowledge, .driver, .driverOK, .featuresOK, .needsReset, .failed,
    ]
    // 3.1.1 orders FEATURES_OK before DRIVER_OK.
    guard state.status.isSubset(of: known),
      !state.status.contains(.driverOK) || state.status.contains(.featuresOK)
    else { throw .badStatus(state.status.rawValue) }
    if state.status.contains(.featuresOK), objection(to: state.wanted, of: state.offered) != nil {
      throw .features(saved: state.wanted.rawValue, own: state.offered.rawValue)
    }
    let maxima = registers.withLock { $0.queues.map(\.maximumSize) }
    for (index, queue) in state.queues.enumerated()
    where queue.isEnabled && queue.size > maxima[index] {
      throw .queueSize(queue: index, saved: queue.size, maximum: maxima[index])
    }
  }

  /// Resets the device and takes over what was checked; it is paused then, if its driver was ready.
  ///
  /// Where the queues are, and where they stand, is checked when it goes on.
  func restore(_ state: VirtioFunctionState) throws(VirtioStateError) {
    try transition.withLock { transition throws(VirtioStateError) in
      stop(&transition)
      try device.restore(state.device)
      offered = state.offered
      registers.withLock { registers in
        registers.deviceFeatureSelect = state.deviceFeatureSelect
        registers.driverFeatureSelect = state.driverFeatureSelect
        registers.driverFeatures = state.wanted.rawValue
        registers.queueSelect = state.queueSelect
        for (index, queue) in state.queues.enumerated() {
          registers.queues[index].size = queue.size
          registers.queues[index].descriptorTable = queue.descriptorTable
          registers.queues[index].availableRing = queue.availableRing
          registers.queues[index].usedRing = queue.usedRing
          registers.queues[index].isEnabled = queue.isEnabled
        }
      }
      for (index, queue) in state.queues.enumerated() { transition.states[index] = queue.place }
      signals.restore(state.status, generation: state.generation)
      if state.status.contains(.driverOK) { transition.activity = .parked }
    }
  }
}
