import RemoteDevice

extension MachineConfiguration {
  /// Finds whether the processes of devices can do with less than all of the guest's memory, if they are to.
  func validateDMA() throws(MachineError) {
    guard dma != .shared else { return }
    let option = "--dma \(dma.rawValue)"
    guard isolation != .none else { throw .needsIsolation(option: option) }
    // Over vhost-user the queues are all that there is, and it has no way to them but memory that is mapped.
    if transport == .mmio { throw .needsPCI(option: option) }
    // Which buffers a device has is known to whoever has followed its queues from the beginning.
    if dma == .window, savePath != nil || restorePath != nil {
      throw .unsavedDevice(option: option, remedy: "give it --dma message")
    }
  }
}
