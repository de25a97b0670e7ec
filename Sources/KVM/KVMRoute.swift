import CLinux

/// What happens when a GSI is raised (api.rst, 4.52).
///
/// A GSI may have several routes to different controllers, or one to a message.
public enum KVMRoute: Hashable, Sendable {
  /// Raises a pin of an interrupt controller in the kernel.
  case irqchip(gsi: UInt32, chip: IRQChip, pin: UInt32)
  /// Delivers a message-signalled interrupt.
  case msi(gsi: UInt32, address: UInt64, data: UInt32)

  /// What KVM starts with: each GSI leads to the pin of its number, 0 to 15 of the PICs and of the
  /// I/O APIC, 16 to 23 of the I/O APIC alone.
  public static var standard: [KVMRoute] {
    (0..<UInt32(KVM_IOAPIC_NUM_PINS)).flatMap { gsi -> [KVMRoute] in
      let ioapic = KVMRoute.irqchip(gsi: gsi, chip: .ioapic, pin: gsi)
      return switch gsi {
      case 0..<8: [.irqchip(gsi: gsi, chip: .picMaster, pin: gsi), ioapic]
      case 8..<16: [.irqchip(gsi: gsi, chip: .picSlave, pin: gsi - 8), ioapic]
      default: [ioapic]
      }
    }
  }

  var raw: kvm_irq_routing_entry {
    var raw = kvm_irq_routing_entry()
    switch self {
    case .irqchip(let gsi, let chip, let pin):
      raw.gsi = gsi
      raw.type = UInt32(KVM_IRQ_ROUTING_IRQCHIP)
      unsafe raw.u.irqchip = kvm_irq_routing_irqchip(irqchip: chip.rawValue, pin: pin)
    case .msi(let gsi, let address, let data):
      raw.gsi = gsi
      raw.type = UInt32(KVM_IRQ_ROUTING_MSI)
      unsafe raw.u.msi.address_lo = UInt32(truncatingIfNeeded: address)
      unsafe raw.u.msi.address_hi = UInt32(truncatingIfNeeded: address >> 32)
      unsafe raw.u.msi.data = data
    }
    return raw
  }
}
