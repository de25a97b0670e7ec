import KVM

// The fields of a vCPU's section, in their order.

extension ProcessorState {
  mutating func code(_ coder: inout StateCoder) throws(InterruptStateError) {
    var count = cpuid.count
    try coder.count(&count, "CPUID count", limit: Self.cpuidLimit)
    if coder.isReading { cpuid = Array(repeating: CPUIDEntry(function: 0), count: count) }
    for index in cpuid.indices { try cpuid[index].code(&coder) }
    try coder.number(&tscKHz)
    try registers.code(&coder)
    try special.code(&coder)
    count = extendedControl.count
    try coder.count(&count, "control register count", limit: 16)
    if coder.isReading {
      extendedControl = Array(
        repeating: ExtendedControlRegister(index: 0, value: 0),
        count: count
      )
    }
    for index in extendedControl.indices {
      try coder.number(&extendedControl[index].index)
      try coder.number(&extendedControl[index].value)
    }
    try coder.bytes(&extended, "extended state", limit: Self.extendedLimit)
    try coder.bytes(&fpu, "floating-point state", limit: 4096)
    try debug.code(&coder)
    try events.code(&coder)
    count = msrs.count
    try coder.count(&count, "MSR count", limit: Self.msrLimit)
    if coder.isReading { msrs = Array(repeating: MSREntry(index: 0, value: 0), count: count) }
    for index in msrs.indices {
      try coder.number(&msrs[index].index)
      try coder.number(&msrs[index].value)
    }
  }
}

extension CPUIDEntry {
  fileprivate mutating func code(_ coder: inout StateCoder) throws(InterruptStateError) {
    try coder.number(&function)
    try coder.number(&index)
    var bits = flags.rawValue
    try coder.number(&bits)
    flags = Flags(rawValue: bits)
    try coder.number(&eax)
    try coder.number(&ebx)
    try coder.number(&ecx)
    try coder.number(&edx)
  }
}

extension Registers {
  fileprivate mutating func code(_ coder: inout StateCoder) throws(InterruptStateError) {
    var all = [
      rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp, r8, r9, r10, r11, r12, r13, r14, r15, rip, rflags,
    ]
    try coder.numbers(&all, count: all.count)
    (rax, rbx, rcx, rdx) = (all[0], all[1], all[2], all[3])
    (rsi, rdi, rsp, rbp) = (all[4], all[5], all[6], all[7])
    (r8, r9, r10, r11) = (all[8], all[9], all[10], all[11])
    (r12, r13, r14, r15) = (all[12], all[13], all[14], all[15])
    (rip, rflags) = (all[16], all[17])
  }
}

extension SpecialRegisters {
  // The local APIC's base and the interrupt under way are in the state of the interrupts.
  fileprivate mutating func code(_ coder: inout StateCoder) throws(InterruptStateError) {
    try cs.code(&coder)
    try ds.code(&coder)
    try es.code(&coder)
    try fs.code(&coder)
    try gs.code(&coder)
    try ss.code(&coder)
    try tr.code(&coder)
    try ldt.code(&coder)
    try gdt.code(&coder)
    try idt.code(&coder)
    try coder.number(&cr0)
    try coder.number(&cr2)
    try coder.number(&cr3)
    try coder.number(&cr4)
    try coder.number(&cr8)
    try coder.number(&efer)
  }
}

extension Segment {
  fileprivate mutating func code(_ coder: inout StateCoder) throws(InterruptStateError) {
    try coder.number(&base)
    try coder.number(&limit)
    try coder.number(&selector)
    try coder.number(&type)
    try coder.flag(&isPresent, "segment presence")
    try coder.number(&privilegeLevel)
    try coder.flag(&is32Bit, "segment size")
    try coder.flag(&isCodeOrData, "segment kind")
    try coder.flag(&is64Bit, "segment length")
    try coder.flag(&isGranular, "segment granularity")
    try coder.flag(&isAvailable, "segment bit")
    try coder.flag(&isUnusable, "segment use")
  }
}

extension DescriptorTable {
  fileprivate mutating func code(_ coder: inout StateCoder) throws(InterruptStateError) {
    try coder.number(&base)
    try coder.number(&limit)
  }
}

extension DebugRegisters {
  fileprivate mutating func code(_ coder: inout StateCoder) throws(InterruptStateError) {
    var all = [dr0, dr1, dr2, dr3, dr6, dr7]
    try coder.numbers(&all, count: all.count)
    (dr0, dr1, dr2, dr3) = (all[0], all[1], all[2], all[3])
    (dr6, dr7) = (all[4], all[5])
  }
}

extension VCPUEvents {
  // The external interrupt and NMIs are in the state of the interrupts, but for what they wait for.
  fileprivate mutating func code(_ coder: inout StateCoder) throws(InterruptStateError) {
    try coder.flag(&exception.isInjected, "injected exception")
    try coder.flag(&exception.isPending, "pending exception")
    try coder.number(&exception.vector)
    try coder.optional(&exception.errorCode, "error code")
    try coder.optional(&exception.payload, "exception payload")
    try coder.flag(&interrupt.isInjected, "injected interrupt")
    try coder.number(&interrupt.vector)
    try coder.flag(&interrupt.isSoftware, "software interrupt")
    try coder.number(&interrupt.shadow)
    var hasSMI = smi != nil
    try coder.flag(&hasSMI, "system management state")
    var mode = smi ?? SMI()
    try coder.flag(&mode.isInSMM, "system management mode")
    try coder.flag(&mode.isPending, "pending SMI")
    try coder.flag(&mode.isInsideNMI, "SMI inside an NMI")
    try coder.flag(&mode.hasLatchedINIT, "latched INIT")
    smi = hasSMI ? mode : nil
    var triple: UInt8? = hasTripleFault.map { $0 ? 1 : 0 }
    try coder.optional(&triple, "triple fault")
    hasTripleFault = triple.map { $0 != 0 }
  }
}
