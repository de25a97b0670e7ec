/// Sets of registers that KVM leaves in the run page at each exit (api.rst, 5, `kvm_valid_regs`).
public struct SyncedRegisters: OptionSet, Sendable {
  /// The bits of linux/kvm.h.
  public let rawValue: UInt64
  /// Wraps bits of linux/kvm.h.
  public init(rawValue: UInt64) { self.rawValue = rawValue }
  /// ``Registers``.
  public static var registers: Self { Self(rawValue: 1 << 0) }
  /// ``SpecialRegisters``.
  public static var specialRegisters: Self { Self(rawValue: 1 << 1) }
  /// ``VCPUEvents``.
  public static var events: Self { Self(rawValue: 1 << 2) }
}
