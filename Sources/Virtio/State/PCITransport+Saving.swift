public import PCI

extension PCITransport: SavedPCIFunction {
  /// The bytes of ``savedState``.
  public func saveState() throws(PCIStateError) -> [UInt8] { savedState.bytes }

  /// Does what ``restore(_:)`` does, from bytes; the device is paused then.
  public func restoreState(_ state: [UInt8]) throws(PCIStateError) {
    do throws(VirtioStateError) {
      try restore(VirtioFunctionState(bytes: state))
    } catch {
      throw PCIStateError("\(error)")
    }
  }
}
