import CLinux

/// The state of one interrupt controller in the kernel, in the kernel's layout (api.rst, 4.26).
public struct IRQChipState: Equatable, Sendable {
  /// Which one it is.
  public let chip: IRQChip
  /// `struct kvm_pic_state` or `struct kvm_ioapic_state`, and zeros up to 512 bytes.
  public var bytes: [UInt8]

  /// The length of ``bytes``.
  public static var size: Int { MemoryLayout<kvm_irqchip>.size - 8 }

  /// Wraps the state of `chip`, of exactly ``size`` bytes.
  public init(_ chip: IRQChip, bytes: [UInt8]) {
    precondition(bytes.count == Self.size, "\(bytes.count) bytes of interrupt controller")
    self.chip = chip
    self.bytes = bytes
  }

  /// The redirection entry of an I/O APIC's pin, 0 to 23 (82093AA, 3.2.4).
  public subscript(redirectionEntry pin: Int) -> UInt64 {
    get { bytes[range(of: pin)].reversed().reduce(0) { $0 << 8 | UInt64($1) } }
    set {
      for (index, offset) in range(of: pin).enumerated() {
        bytes[offset] = UInt8(truncatingIfNeeded: newValue >> (8 * UInt64(index)))
      }
    }
  }

  private func range(of pin: Int) -> Range<Int> {
    precondition(chip == .ioapic && (0..<Int(KVM_IOAPIC_NUM_PINS)).contains(pin), "pin \(pin)")
    // The table follows the base address and four words.
    let start = 24 + pin * 8
    return start..<start + 8
  }
}
