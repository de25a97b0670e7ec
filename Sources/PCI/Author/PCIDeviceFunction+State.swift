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

  /// Registers, vectors, what the device has saved, and the memory of its regions.
  public func saveState() throws(PCIStateError) -> [UInt8] {
    guard let own = saved.withLock({ $0 }) else {
      throw PCIStateError("the function is not paused")
    }
    var writer = FieldWriter()
    writer.appendCounted(own)
    for memory in barMemory { memory.save(to: &writer) }
    return PCIFunctionState(self, device: writer.bytes).bytes
  }

  /// Restores registers and vectors, then the device.
  public func restoreState(_ state: [UInt8]) throws(PCIStateError) {
    let state = try PCIFunctionState(bytes: state)
    try state.check(self)
    var reader = FieldReader(state.device)
    guard let own = reader.takeCounted() else {
      throw PCIStateError("a device's own state that is cut short")
    }
    do throws(PCIStateError) {
      for memory in barMemory { try memory.restore(from: &reader) }
      guard reader.count == 0 else {
        throw PCIStateError("\(reader.count) bytes after the state's end")
      }
      state.restoreRegisters(of: self)
      try restore(own)
    } catch {
      resetWhole()
      throw error
    }
    saved.withLock { $0 = own }
  }

  private func restore(_ state: [UInt8]) throws(PCIStateError) {
    do throws(DeviceStateError) {
      // The pin and the vectors are in place for what it asks for, and the memory for what it looks at.
      try device.restore(state)
    } catch {
      throw PCIStateError("\(error)")
    }
  }

  /// Has the device go on.
  public func resume() {
    let wasPaused = saved.withLock { $0.take() != nil }
    if wasPaused { device.resume() }
  }

  /// Has nothing to do: a device that goes on asks for its interrupts by itself.
  public func signalRestart() {}
}
