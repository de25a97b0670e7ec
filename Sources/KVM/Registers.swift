import CLinux

/// The general-purpose registers of a vCPU (api.rst, 4.11).
public struct Registers: Equatable, Sendable {
  /// RAX.
  public var rax: UInt64 = 0
  /// RBX.
  public var rbx: UInt64 = 0
  /// RCX.
  public var rcx: UInt64 = 0
  /// RDX.
  public var rdx: UInt64 = 0
  /// RSI.
  public var rsi: UInt64 = 0
  /// RDI.
  public var rdi: UInt64 = 0
  /// RSP.
  public var rsp: UInt64 = 0
  /// RBP.
  public var rbp: UInt64 = 0
  /// R8.
  public var r8: UInt64 = 0
  /// R9.
  public var r9: UInt64 = 0
  /// R10.
  public var r10: UInt64 = 0
  /// R11.
  public var r11: UInt64 = 0
  /// R12.
  public var r12: UInt64 = 0
  /// R13.
  public var r13: UInt64 = 0
  /// R14.
  public var r14: UInt64 = 0
  /// R15.
  public var r15: UInt64 = 0
  /// The instruction pointer.
  public var rip: UInt64 = 0
  /// The flags; bit 1 is always set (SDM volume 1, 3.4.3).
  public var rflags: UInt64 = 2

  /// All zero but the flags' fixed bit.
  public init() {}

  init(_ raw: kvm_regs) {
    (rax, rbx, rcx, rdx) = (raw.rax, raw.rbx, raw.rcx, raw.rdx)
    (rsi, rdi, rsp, rbp) = (raw.rsi, raw.rdi, raw.rsp, raw.rbp)
    (r8, r9, r10, r11) = (raw.r8, raw.r9, raw.r10, raw.r11)
    (r12, r13, r14, r15) = (raw.r12, raw.r13, raw.r14, raw.r15)
    (rip, rflags) = (raw.rip, raw.rflags)
  }

  var raw: kvm_regs {
    var raw = kvm_regs()
    (raw.rax, raw.rbx, raw.rcx, raw.rdx) = (rax, rbx, rcx, rdx)
    (raw.rsi, raw.rdi, raw.rsp, raw.rbp) = (rsi, rdi, rsp, rbp)
    (raw.r8, raw.r9, raw.r10, raw.r11) = (r8, r9, r10, r11)
    (raw.r12, raw.r13, raw.r14, raw.r15) = (r12, r13, r14, r15)
    (raw.rip, raw.rflags) = (rip, rflags)
    return raw
  }
}
