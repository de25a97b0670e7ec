import KVM

extension InterruptMode {
  /// What KVM must be able to do.
  var capabilities: [KVMCapability] {
    switch self {
    case .kernel: [.irqChip, .irqfd, .irqfdResample, .irqRouting, .signalMSI, .pit2]
    case .split: [.splitIRQChip, .irqfd, .irqRouting, .signalMSI]
    case .user: [.userSpaceMSR, .msrFilter, .userNMI]
    }
  }
}
