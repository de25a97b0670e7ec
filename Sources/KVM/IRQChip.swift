/// One of the interrupt controllers that KVM can have in the kernel (api.rst, 4.26).
public enum IRQChip: UInt32, Sendable {
  /// The 8259 at ports 0x20 and 0x21.
  case picMaster = 0
  /// The 8259 at ports 0xA0 and 0xA1.
  case picSlave = 1
  /// The I/O APIC, of 24 pins.
  case ioapic = 2
}
