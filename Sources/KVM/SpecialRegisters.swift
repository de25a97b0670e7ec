import CLinux

/// The segment, control and system registers of a vCPU (api.rst, 4.13).
public struct SpecialRegisters: Equatable, Sendable {
  /// The code segment.
  public var cs = Segment()
  /// The data segment.
  public var ds = Segment()
  /// The extra segment.
  public var es = Segment()
  /// The FS segment.
  public var fs = Segment()
  /// The GS segment.
  public var gs = Segment()
  /// The stack segment.
  public var ss = Segment()
  /// The task register.
  public var tr = Segment()
  /// The local descriptor table register.
  public var ldt = Segment()
  /// The global descriptor table register.
  public var gdt = DescriptorTable()
  /// The interrupt descriptor table register.
  public var idt = DescriptorTable()
  /// Control register 0: protection, paging and caching.
  public var cr0: UInt64 = 0
  /// Control register 2: the address of the last page fault.
  public var cr2: UInt64 = 0
  /// Control register 3: the address of the page tables.
  public var cr3: UInt64 = 0
  /// Control register 4: extensions.
  public var cr4: UInt64 = 0
  /// Control register 8: the task priority.
  public var cr8: UInt64 = 0
  /// The extended feature enable register: long mode, no-execute, `SYSCALL`.
  public var efer: UInt64 = 0
  /// The local APIC's base register: address, enabled, x2APIC, bootstrap processor.
  public var apicBase: UInt64 = 0
  /// The external interrupt that was injected and not yet delivered.
  public var pendingInterrupt: UInt8?

  /// All zero; to change a register, get them all from the vCPU instead.
  public init() {}

  init(_ raw: kvm_sregs) {
    (cs, ds, es) = (Segment(raw.cs), Segment(raw.ds), Segment(raw.es))
    (fs, gs, ss) = (Segment(raw.fs), Segment(raw.gs), Segment(raw.ss))
    (tr, ldt) = (Segment(raw.tr), Segment(raw.ldt))
    (gdt, idt) = (DescriptorTable(raw.gdt), DescriptorTable(raw.idt))
    (cr0, cr2, cr3, cr4, cr8) = (raw.cr0, raw.cr2, raw.cr3, raw.cr4, raw.cr8)
    (efer, apicBase) = (raw.efer, raw.apic_base)
    // api.rst, 4.13: at most one bit is set.
    let bitmap = raw.interrupt_bitmap
    for (index, word) in [bitmap.0, bitmap.1, bitmap.2, bitmap.3].enumerated() where word != 0 {
      pendingInterrupt = UInt8(index * 64 + word.trailingZeroBitCount)
    }
  }

  var raw: kvm_sregs {
    var raw = kvm_sregs()
    (raw.cs, raw.ds, raw.es) = (cs.raw, ds.raw, es.raw)
    (raw.fs, raw.gs, raw.ss) = (fs.raw, gs.raw, ss.raw)
    (raw.tr, raw.ldt) = (tr.raw, ldt.raw)
    (raw.gdt, raw.idt) = (gdt.raw, idt.raw)
    (raw.cr0, raw.cr2, raw.cr3, raw.cr4, raw.cr8) = (cr0, cr2, cr3, cr4, cr8)
    (raw.efer, raw.apic_base) = (efer, apicBase)
    if let pendingInterrupt {
      let bit: UInt64 = 1 << UInt64(pendingInterrupt % 64)
      switch pendingInterrupt / 64 {
      case 0: raw.interrupt_bitmap.0 = bit
      case 1: raw.interrupt_bitmap.1 = bit
      case 2: raw.interrupt_bitmap.2 = bit
      default: raw.interrupt_bitmap.3 = bit
      }
    }
    return raw
  }
}
