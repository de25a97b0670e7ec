import CLinux

/// What stops a guest that is being debugged (api.rst, 4.87).
public struct GuestDebugOptions: OptionSet, Sendable {
  /// The bits of linux/kvm.h.
  public let rawValue: UInt32
  /// Wraps bits of linux/kvm.h.
  public init(rawValue: UInt32) { self.rawValue = rawValue }
  /// Every instruction.
  public static var singleStep: Self { Self(rawValue: UInt32(KVM_GUESTDBG_SINGLESTEP)) }
  /// `INT3`.
  public static var softwareBreakpoints: Self { Self(rawValue: UInt32(KVM_GUESTDBG_USE_SW_BP)) }
  /// The debug registers given, in place of the guest's.
  public static var hardwareBreakpoints: Self { Self(rawValue: UInt32(KVM_GUESTDBG_USE_HW_BP)) }
}
