import GuestMemory
import KVM

extension VCPU {
  /// Puts the vCPU where a boot protocol wants the bootstrap processor.
  func start(at state: CPUStartState) throws(KVMError) {
    var special = try specialRegisters()
    special.cs = Segment(state.code)
    special.ds = Segment(state.data)
    (special.es, special.fs, special.gs, special.ss) = (
      special.ds, special.ds, special.ds, special.ds
    )
    special.tr = Segment(state.task)
    special.gdt = DescriptorTable(base: state.gdtBase.rawValue, limit: state.gdtLimit)
    // No exception can be taken until the guest has a table of its own.
    special.idt = DescriptorTable()
    special.cr0 = state.cr0
    special.cr3 = state.cr3
    special.cr4 = state.cr4
    special.efer = state.efer
    try setSpecialRegisters(special)
    var registers = Registers()
    registers.rip = state.rip
    registers.rax = state.rax
    registers.rbx = state.rbx
    registers.rsi = state.rsi
    registers.rsp = state.rsp
    registers.rflags = state.rflags
    try setRegisters(registers)
  }

  /// Does what firmware does on each processor before it hands over.
  ///
  /// - Parameters:
  ///   - cpuid: What it answers.
  ///   - hasLocalAPIC: Whether its local APIC is in the kernel.
  /// - Throws: ``KVMError``.
  func initialize(cpuid: [CPUIDEntry], hasLocalAPIC: Bool) throws(KVMError) {
    try setCPUID(cpuid)
    try setMSRs([
      // IA32_MISC_ENABLE (SDM volume 4, 2.1): fast string operations.
      MSREntry(index: 0x1A0, value: 1),
      // IA32_MTRR_DEF_TYPE (SDM volume 3A, 13.11.2.1): enabled, memory is write-back by default;
      // device memory gets its type from the page tables.
      MSREntry(index: 0x2FF, value: 1 << 11 | 6),
    ])
    guard hasLocalAPIC else { return }
    // SDM volume 3A, 11.5.1: LINT0 takes the 8259's interrupts, LINT1 the NMI.
    var apic = try localAPIC()
    apic[0x350] = 7 << 8
    apic[0x360] = 4 << 8
    try setLocalAPIC(apic)
  }
}

extension Segment {
  fileprivate init(_ state: SegmentState) {
    self.init(selector: state.selector, descriptor: state.descriptor)
  }
}
