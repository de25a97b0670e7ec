import CLinux

/// The debug registers of a vCPU (api.rst, 4.33).
public struct DebugRegisters: Equatable, Sendable {
  /// The address of breakpoint 0.
  public var dr0: UInt64 = 0
  /// The address of breakpoint 1.
  public var dr1: UInt64 = 0
  /// The address of breakpoint 2.
  public var dr2: UInt64 = 0
  /// The address of breakpoint 3.
  public var dr3: UInt64 = 0
  /// The status register.
  public var dr6: UInt64 = 0
  /// The control register.
  public var dr7: UInt64 = 0

  /// All zero.
  public init() {}

  init(_ raw: kvm_debugregs) {
    (dr0, dr1, dr2, dr3) = raw.db
    (dr6, dr7) = (raw.dr6, raw.dr7)
  }

  var raw: kvm_debugregs {
    var raw = kvm_debugregs()
    raw.db = (dr0, dr1, dr2, dr3)
    (raw.dr6, raw.dr7) = (dr6, dr7)
    return raw
  }
}
