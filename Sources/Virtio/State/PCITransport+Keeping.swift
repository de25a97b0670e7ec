/// Keeping the state while the device works, and taking over from a process that did.
extension PCITransport {
  /// Keeps the state in `file` from now on; what is in there already is another process's, which this function goes on
  /// as.
  ///
  /// Then requests that were under way are done as soon as there is memory, before others. Interrupts that the driver
  /// may have missed are signalled: through the pin here, through MSI-X by whoever brings the eventfds.
  /// The function is new, and no other thread uses it.
  ///
  /// - Returns: Whether it goes on as another one.
  /// - Throws: ``VirtioStateError`` if what is there is no state of a function like this, or there is no room.
  @discardableResult
  public func keepState(in file: VirtioStateFile) throws(VirtioStateError) -> Bool {
    let keeper = VirtioStateKeeper(file, sizes: controller.device.queueSizes) { [weak self] in
      self?.currentState
    }
    guard let keeper else {
      throw .badDevice("no room for what \(controller.queueCount) queues have under way")
    }
    let saved = try file.load()
    if var saved {
      // Changes that the other one made and could not tell of.
      saved.generation &+= 1
      if saved.status.contains(.driverOK) { saved.interruptStatus |= 3 }
      try restore(saved)
    }
    if let saved, saved.status.contains(.driverOK) {
      let isPacked = saved.wanted.contains(.packedRing)
      keeper.notePlaces(of: saved)
      for (index, queue) in saved.queues.enumerated() where !queue.isEnabled {
        keeper.forget(index, isPacked: isPacked)
      }
    } else {
      keeper.forgetAll()
    }
    controller.keeper = keeper
    controller.signals.observeState { [weak keeper] in keeper?.keep() }
    keeper.keep()
    return saved != nil
  }

  /// Whether the state is kept in a file.
  public var keepsState: Bool { controller.keeper != nil }

  /// Keeps the state once more, after something else than the driver has changed registers.
  public func noteState() { controller.keeper?.keep() }

  /// Leaves the state as it is now to whoever takes over, the places of its queues with it.
  ///
  /// The device is stopped where it stands: what it has taken is done.
  public func leaveState() {
    controller.pause()
    controller.signals.observeState(nil)
    let places = savedState.queues.map(\.place)
    controller.keeper?.keep { state in
      for (index, place) in places.enumerated() { state.queues[index].place = place }
    }
    controller.keeper = nil
  }
}
