public import GuestMemory

/// The registers of the first CPU at its first instruction; those not named here are 0.
///
/// Interrupts are off (RFLAGS is 2), the IDT is empty and LDTR unusable, as all three protocols ask.
public struct CPUStartState: Equatable, Sendable {
  /// How the CPU addresses memory.
  public enum Mode: Equatable, Sendable {
    /// 64-bit mode with the page tables at `pageTable`.
    case long(pageTable: GuestAddress)
    /// 32-bit protected mode without paging.
    case protected32
  }

  /// How the CPU addresses memory.
  public let mode: Mode
  /// The first instruction.
  public let rip: UInt64
  /// RAX.
  public var rax: UInt64 = 0
  /// RBX.
  public var rbx: UInt64 = 0
  /// RSI.
  public var rsi: UInt64 = 0
  /// RSP; no protocol promises a stack.
  public var rsp: UInt64 = 0

  /// RFLAGS: only the bit that is always 1.
  public var rflags: UInt64 { 2 }

  init(mode: Mode, rip: UInt64) {
    self.mode = mode
    self.rip = rip
  }

  private var isLong: Bool { mode != .protected32 }

  /// CR0: protected mode; for long mode with paging and native FPU errors.
  public var cr0: UInt64 { isLong ? 0x8000_0031 : 0x11 }
  /// CR3: the top page table.
  public var cr3: UInt64 {
    if case .long(let table) = mode { table.rawValue } else { 0 }
  }
  /// CR4: physical address extension in long mode.
  public var cr4: UInt64 { isLong ? 0x20 : 0 }
  /// EFER: long mode enabled and active.
  public var efer: UInt64 { isLong ? 0x500 : 0 }
  /// CS, with the selector 0x10 that Linux asks for (boot.rst, 64-bit boot protocol).
  public var code: SegmentState { .code(0x10, isLong: isLong) }
  /// DS, ES, FS, GS and SS, with the selector 0x18 that Linux asks for.
  public var data: SegmentState { .data(0x18) }
  /// TR.
  public var task: SegmentState { .task(0x20) }
  /// The address of the global descriptor table, which holds the segments above.
  public var gdtBase: GuestAddress { BootLayout.descriptorTable }
  /// The offset of the table's last byte.
  public var gdtLimit: UInt16 { UInt16(truncatingIfNeeded: gdt.count * 8 - 1) }

  /// The descriptors; the last is the upper half of the task's in long mode.
  var gdt: [UInt64] { [0, 0, code.descriptor, data.descriptor, task.descriptor, 0] }
}
