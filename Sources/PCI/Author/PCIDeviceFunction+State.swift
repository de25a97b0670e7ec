import DeviceModel
import Synchronization

/// Saving a device of an author's, and having another one go on as it.
extension PCIDeviceFunction: SavedPCIFunction {
  /// Has the device end what is under way, by taking its state.
  public func pause() {
    saved.withLock { saved in
      if saved == nil { saved = device.save() }
    }
  }

  /// Registers, vectors, and what the device has saved.
  public func saveState() throws(PCIStateError) -> [UInt8] {
    guard let own = saved.withLock({ $0 }) else {
      throw PCIStateError("the function is not paused")
    }
    return PCIFunctionState(self, device: own).bytes
  }

  /// Restores registers and vectors, then the device.
  public func restoreState(_ state: [UInt8]) throws(PCIStateError) {
    let state = try PCIFunctionState(bytes: state)
    try state.check(self)
    state.restoreRegisters(of: self)
    do throws(DeviceStateError) {
      // The pin and the vectors are in place for what it asks for.
      try device.restore(state.device)
    } catch {
      resetWhole()
      throw PCIStateError("\(error)")
    }
    saved.withLock { $0 = state.device }
  }

  /// Has the device go on.
  public func resume() {
    let wasPaused = saved.withLock { $0.take() != nil }
    if wasPaused { device.resume() }
  }

  /// Has nothing to do: a device that goes on asks for its interrupts by itself.
  public func signalRestart() {}
}
