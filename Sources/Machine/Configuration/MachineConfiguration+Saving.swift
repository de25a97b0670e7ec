extension MachineConfiguration {
  /// Finds whether all of the machine can be saved, or put back, if it is to be.
  func validateSaving() throws(MachineError) {
    if restorePath != nil, kernel.isEmpty, onReset == .restart { throw .missingKernel }
    guard savePath != nil || restorePath != nil else { return }
    // Whether a vfio-user server keeps the state of its device is known once it is connected to.
    if let remote = remotes.first(where: { $0.kind != .vfioUser }) {
      throw .unsavedDevice(option: remote.text, remedy: "take that device away")
    }
    if transport == .mmio {
      throw .unsavedDevice(option: "--transport mmio", remedy: "leave --transport out")
    }
  }
}
