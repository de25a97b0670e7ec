import GuestMemory
import KVM
import TestSupport
import Testing

/// State goes in and comes out.
@Suite(KVMDevice.required, .serialized) struct StateTests {
  @Test func registersComeBackAsTheyWereSet() throws {
    let guest = try TinyGuest(.long, GuestCode.halt)
    var registers = try guest.vcpu.registers()
    registers.rax = 1
    registers.rbx = 2
    registers.r8 = 3
    registers.r15 = 0xFFFF_FFFF_FFFF_FFFF

    try guest.vcpu.setRegisters(registers)

    #expect(try guest.vcpu.registers() == registers)
  }

  @Test func specialRegistersComeBackAsTheyWereSet() throws {
    let guest = try TinyGuest(.long, GuestCode.halt)
    var special = try guest.vcpu.specialRegisters()
    special.fs.base = 0x1234_5000
    special.cr2 = 0x5000
    special.pendingInterrupt = nil

    try guest.vcpu.setSpecialRegisters(special)

    #expect(try guest.vcpu.specialRegisters() == special)
  }

  @Test func registersAreInTheRunPageWhereAskedFor() throws {
    let guest = try TinyGuest(.real, GuestCode.outAndHalt)
    guest.vcpu.syncedRegisters = [.registers, .specialRegisters]

    #expect(try guest.next() == .port(.init(isWrite: true, port: 0x80, width: 1)))
    #expect(guest.vcpu.exitRegisters.rax & 0xFF == 0x42)
    #expect(guest.vcpu.exitSpecialRegisters.cs.base == 0)
    guest.vcpu.exitRegisters.rbx = 0x77
    #expect(try guest.next() == .hlt)

    #expect(try guest.vcpu.registers().rbx == 0x77)
  }

  @Test func modelSpecificRegistersComeBackAsTheyWereSet() throws {
    let guest = try TinyGuest(.long, GuestCode.halt)
    // IA32_SYSENTER_EIP and IA32_PAT.
    let entries = [
      MSREntry(index: 0x176, value: 0x1234_5678),
      MSREntry(index: 0x277, value: 0x0007_0406_0007_0406),
    ]

    try guest.vcpu.setMSRs(entries)

    #expect(try guest.vcpu.msrs([0x176, 0x277]) == entries)
  }

  @Test func anUnknownModelSpecificRegisterIsNamed() throws {
    let guest = try TinyGuest(.long, GuestCode.halt)
    let unknown: UInt32 = 0x1234_5678

    #expect(throws: KVMError.refusedMSR("KVM_GET_MSRS", index: unknown)) {
      try guest.vcpu.msrs([0x176, unknown])
    }
    #expect(throws: KVMError.refusedMSR("KVM_SET_MSRS", index: unknown)) {
      try guest.vcpu.setMSRs([MSREntry(index: unknown, value: 1)])
    }
  }

  @Test func everyListedModelSpecificRegisterThatCanBeReadHasAnIndexOfItsOwn() throws {
    let indices = try KVMSystem().msrIndices()

    #expect(indices.contains(0x174))
    #expect(Set(indices).count == indices.count)
  }

  @Test func cpuidComesBackAsItWasSet() throws {
    let guest = try TinyGuest(.long, GuestCode.halt)
    var entries = try KVMSystem().supportedCPUID()
    entries.append(CPUIDEntry(function: 0x4000_0000, eax: 0x4000_0001, ebx: 0x7375_7061))

    try guest.vcpu.setCPUID(entries)

    let leaf = try guest.vcpu.cpuid().first { $0.function == 0x4000_0000 && $0.ebx == 0x7375_7061 }
    #expect(leaf?.eax == 0x4000_0001)
  }

  @Test func processorStateComesBackAsItWasSet() throws {
    let guest = try TinyGuest(.long, GuestCode.halt)
    let vcpu = guest.vcpu
    var fpu = try vcpu.fpu()
    fpu.controlWord = 0x27F
    var debug = try vcpu.debugRegisters()
    debug.dr0 = 0x4000

    try vcpu.setFPU(fpu)
    try vcpu.setDebugRegisters(debug)
    try vcpu.setEvents(vcpu.events())
    try vcpu.setXCRs(vcpu.xcrs())
    let xsave = try vcpu.xsave()
    try vcpu.setXSave(xsave)

    #expect(try vcpu.fpu().controlWord == 0x27F)
    #expect(try vcpu.debugRegisters() == debug)
    #expect(try vcpu.xsave() == xsave)
    #expect(try vcpu.tscKHz() > 0)
  }

  @Test func interruptControllersComeBackAsTheyWereSet() throws {
    let guest = try TinyGuest(.long, GuestCode.halt) {
      try $0.createIRQChip()
      try $0.createPIT2(speakerDummy: true)
    }
    var ioapic = try guest.vm.irqChipState(.ioapic)
    ioapic[redirectionEntry: 5] = 0x41
    var local = try guest.vcpu.localAPIC()
    local[0x350] = 0x700

    try guest.vm.setIRQChipState(ioapic)
    try guest.vm.setIRQChipState(guest.vm.irqChipState(.picMaster))
    try guest.vcpu.setLocalAPIC(local)
    try guest.vm.setPITState(guest.vm.pitState())
    try guest.vcpu.setMPState(.halted)

    #expect(try guest.vm.irqChipState(.ioapic)[redirectionEntry: 5] == 0x41)
    #expect(try guest.vcpu.localAPIC()[0x350] == 0x700)
    #expect(try guest.vcpu.mpState() == .halted)
  }

  @Test func theClockGoesOnFromWhereItWasSet() throws {
    let vm = try KVMSystem().makeVM()

    try vm.setClock(ClockState(nanoseconds: 5_000_000_000))

    let now = try vm.clock().nanoseconds
    #expect((5_000_000_000..<65_000_000_000).contains(now))
  }

  @Test func theDirtyLogHasThePagesWrittenSinceItWasRead() throws {
    let ram = try GuestMemory(count: 0x10000)
    let guest = try TinyGuest(.long, GuestCode.dirtyPages)
    try guest.vm.setMemoryRegion(
      slot: 1,
      guestAddress: 0x400000,
      size: 0x10000,
      unsafeHostAddress: ram.unsafeHostAddress(of: ram.regions[0]),
      options: .logDirty
    )

    #expect(try guest.next() == .hlt)

    #expect(try guest.vm.dirtyLog(slot: 1, size: 0x10000) == [0b1001])
    #expect(try guest.vm.dirtyLog(slot: 1, size: 0x10000) == [0])
    withExtendedLifetime(ram) {}
  }

  @Test func capabilitiesAreCheckedByName() throws {
    let system = try KVMSystem()

    #expect(try system.check(.immediateExit) == 1)
    #expect(try system.maximumVCPUs() >= 1)
    #expect(try system.vcpuMappingSize() >= 4096)
    #expect(throws: KVMError.missingCapability(KVMCapability(rawValue: 9999))) {
      try system.requireCapabilities([.userMemory, KVMCapability(rawValue: 9999)])
    }
  }

  @Test func aBadMemoryRegionIsNamed() throws {
    let vm = try KVMSystem().makeVM()

    let error = #expect(throws: KVMError.self) {
      try vm.setMemoryRegion(slot: 3, guestAddress: 0x123, size: 0x1000, unsafeHostAddress: 0)
    }

    #expect(
      error?.description
        == "KVM_SET_USER_MEMORY_REGION slot 3, 0x1000 bytes at 0x123, flags 0: "
        + "Invalid argument (errno 22)"
    )
  }

  @Test func aSecondVCPUOfTheSameNumberIsNamed() throws {
    let vm = try KVMSystem().makeVM()
    _ = try vm.makeVCPU(1)

    let error = #expect(throws: KVMError.self) { _ = try vm.makeVCPU(1) }

    #expect(error?.description == "KVM_CREATE_VCPU vCPU 1: File exists (errno 17)")
  }
}
