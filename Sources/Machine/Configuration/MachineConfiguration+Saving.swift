extension MachineConfiguration {
  /// Finds whether all of the machine can be saved, or put back, if it is to be.
  func validateSaving() throws(MachineError) {
    if restorePath != nil, kernel.isEmpty, onReset == .restart { throw .missingKernel }
    guard savePath != nil || restorePath != nil else { return }
    if let remote = remotes.first {
      throw .unsavedDevice(option: remote.text, remedy: "take that device away")
    }
    if isolation != .none {
      throw .unsavedDevice(
        option: "--isolate \(isolation.rawValue)",
        remedy: "give it --isolate none"
      )
    }
    if transport == .mmio {
      throw .unsavedDevice(option: "--transport mmio", remedy: "leave --transport out")
    }
  }
}
