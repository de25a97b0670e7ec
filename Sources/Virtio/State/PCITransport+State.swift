import PCI

/// Saving a function, and having another one go on as it.
extension PCITransport {
  /// Stops the device where it stands, as one does to save its state with the guest's memory.
  ///
  /// At return nothing of it touches guest memory, and all that it had taken is done. The guest's registers
  /// work; nothing of what it asks for is done before ``resume()``.
  public func pause() { controller.pause() }

  /// Goes on after ``pause()`` or ``restore(_:)``.
  ///
  /// A queue that is not where it can be, or stands where it cannot, has the device need a reset; one outside of
  /// the memory there is has the device wait for other memory, as after
  /// ``VirtioDeviceController/replaceMemory(with:)``.
  public func resume() { controller.resume() }

  /// The state: all of it while the device is paused, else all but the places of the queues.
  ///
  /// Not to be asked on a thread of the device; see ``currentState``.
  public var savedState: VirtioFunctionState {
    var state = emptyState
    controller.save(to: &state)
    saveRest(to: &state)
    return state
  }

  /// The state without the places of the queues, while the device works; threads of the device may ask.
  public var currentState: VirtioFunctionState {
    var state = emptyState
    controller.saveRegisters(to: &state)
    saveRest(to: &state)
    return state
  }

  /// Goes on as the function that `state` was saved from, after a reset; until ``resume()`` the device is paused.
  ///
  /// BARs do not move by themselves: see ``PCIRootBus/followConfiguration(at:)``. One thread calls, and no
  /// other uses the function meanwhile.
  ///
  /// - Throws: ``VirtioStateError`` if it is no state of a function like this; nothing has changed then, except
  ///   for ``VirtioStateError/badDevice(_:)``, after which the device is reset.
  public func restore(_ state: VirtioFunctionState) throws(VirtioStateError) {
    let vectors = (saved: state.msix?.entries.count ?? 0, own: msix?.vectorCount ?? 0)
    guard vectors.saved == vectors.own else {
      throw .vectorCount(saved: vectors.saved, own: vectors.own)
    }
    guard configuration.matches(state.configuration) else { throw .otherRegisters }
    // 4.1.4.5: there are two bits.
    guard state.interruptStatus < 4 else { throw .badField("the interrupt status") }
    try controller.check(state)
    try controller.restore(state)
    interrupts.configurationVector = state.configurationVector
    for (index, queue) in state.queues.enumerated() {
      interrupts.setVector(queue.vector, ofQueue: index)
    }
    configuration.restore(state.configuration)
    if let msix, let saved = state.msix { msix.restore(saved) }
    interrupts.restore(status: state.interruptStatus)
    // The pin may be driven or not by what the command register says now.
    followConfiguration()
  }

  /// Has the driver look at each queue and at the configuration.
  ///
  /// For a function that goes on in another process: a message that was signalled right before it was saved may have been
  /// on its way, and one too many tells a driver nothing; what is behind the device may have changed, such as the size
  /// of a disk. A pin's level is in the state.
  public func signalRestart() {
    guard controller.status.contains(.driverOK) else { return }
    interrupts.signalConfigurationChange()
    guard msix?.isEnabled == true else { return }
    for index in 0..<controller.queueCount { interrupts.signalQueue(index) }
  }

  private var emptyState: VirtioFunctionState {
    VirtioFunctionState(
      type: controller.device.type,
      offered: [],
      wanted: [],
      deviceFeatureSelect: 0,
      driverFeatureSelect: 0,
      status: [],
      queueSelect: 0,
      generation: 0,
      configurationVector: interrupts.configurationVector,
      interruptStatus: interrupts.currentStatus,
      queues: (0..<controller.queueCount).map { index in
        var queue = VirtioFunctionState.Queue(size: 0)
        queue.vector = interrupts.vector(ofQueue: index)
        return queue
      },
      configuration: configuration.savedState,
      msix: msix?.savedState,
      device: []
    )
  }

  private func saveRest(to state: inout VirtioFunctionState) {
    state.device = controller.device.savedState
  }
}
