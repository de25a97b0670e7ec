/// Where the interrupt controllers are; a guest and its devices see no difference.
public enum InterruptMode: String, Sendable, CaseIterable {
  /// All in KVM.
  case kernel
  /// Local APICs in KVM; I/O APIC, 8259s and timer chip in this process.
  case split
  /// All in this process.
  case user
}
