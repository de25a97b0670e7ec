import GuestMemory
import KVM
import TestSupport
import Testing

/// What brings a vCPU back, and what it brings.
@Suite(KVMDevice.required, .serialized) struct ExitTests {
  @Test(
    arguments: [
      (GuestCode.portEchoByte, 1, 0xFF, 0x00),
      (GuestCode.portEchoWord, 2, 0x12FF, 0x1300),
      (GuestCode.portEchoLong, 4, 0x1234_FFFF, 0x1235_0000),
    ] as [([UInt8], Int, UInt32, UInt32)]
  )
  func portsAreReadAndWrittenInEachWidth(
    code: [UInt8],
    width: Int,
    given: UInt32,
    returned: UInt32
  ) throws {
    let guest = try TinyGuest(.real, code)

    #expect(try guest.next() == .port(.init(isWrite: false, port: 0x510, width: width)))
    guest.vcpu.setPortItem(0, to: given)

    #expect(try guest.next() == .port(.init(isWrite: true, port: 0x510, width: width)))
    #expect(guest.vcpu.portItem(0) == returned)
    #expect(try guest.next() == .hlt)
  }

  @Test func stringsAreWrittenToAPortItemByItem() throws {
    let guest = try TinyGuest(.real, GuestCode.outString)
    try guest.memory.write(Array("apus!".utf8), at: GuestAddress(0x2000))

    var bytes: [UInt8] = []
    while case .port(let access) = try guest.next() {
      #expect(access.isWrite && access.port == 0x3F8 && access.width == 1)
      bytes += (0..<access.count).map { UInt8(guest.vcpu.portItem($0)) }
    }

    #expect(String(decoding: bytes, as: UTF8.self) == "apus!")
  }

  @Test func stringsAreReadFromAPortItemByItem() throws {
    let guest = try TinyGuest(.real, GuestCode.inString)

    var words: [UInt32] = [0x1111, 0x2222, 0x3333, 0x4444]
    while case .port(let access) = try guest.next() {
      #expect(!access.isWrite && access.port == 0x1F0 && access.width == 2)
      for item in 0..<access.count { guest.vcpu.setPortItem(item, to: words.removeFirst()) }
    }

    #expect(words.isEmpty)
    #expect(try guest.memory.load64(at: GuestAddress(0x2000)) == 0x4444_3333_2222_1111)
  }

  @Test(
    arguments: [
      (GuestCode.mmioWidth1, 1, 0x88, 0xEF),
      (GuestCode.mmioWidth2, 2, 0x7788, 0xCDEF),
      (GuestCode.mmioWidth4, 4, 0x5566_7788, 0x89AB_CDEF),
      (GuestCode.mmioWidth8, 8, 0x1122_3344_5566_7788, 0x0123_4567_89AB_CDEF),
    ] as [([UInt8], Int, UInt64, UInt64)]
  )
  func memoryIsReadAndWrittenInEachWidth(
    code: [UInt8],
    width: Int,
    written: UInt64,
    read: UInt64
  ) throws {
    let guest = try TinyGuest(.long, code)
    let address: UInt64 = 0xD000_0000

    #expect(
      try guest.next()
        == .mmio(.init(address: address, width: width, isWrite: true, value: written))
    )
    #expect(try guest.next() == .mmio(.init(address: address, width: width, isWrite: false)))
    guest.vcpu.completeMMIORead(0x0123_4567_89AB_CDEF)
    #expect(try guest.next() == .hlt)

    #expect(try guest.memory.load64(at: GuestAddress(0x3000)) == read)
  }

  @Test(arguments: [TinyGuest.Mode.real, .long])
  func haltingIsAnExit(mode: TinyGuest.Mode) throws {
    let guest = try TinyGuest(mode, GuestCode.halt)

    #expect(try guest.next() == .hlt)
  }

  @Test func aTripleFaultShutsTheProcessorDown() throws {
    let guest = try TinyGuest(.long, GuestCode.undefined)
    var special = try guest.vcpu.specialRegisters()
    special.idt.limit = 0
    try guest.vcpu.setSpecialRegisters(special)

    #expect(try guest.next() == .shutdown)
  }

  @Test func codeOutsideMemoryIsAnInternalError() throws {
    let guest = try TinyGuest(.long, GuestCode.halt)
    var registers = try guest.vcpu.registers()
    registers.rip = 0xD000_0000
    try guest.vcpu.setRegisters(registers)

    #expect(try guest.next() == .internalError(suberror: 1))
    #expect(guest.vcpu.exitData.count <= 16)
  }

  @Test func writesToReadOnlyMemoryAreExits() throws {
    let rom = try GuestMemory(count: 0x1000)
    try rom.store32(0x600D_F00D, at: GuestAddress(0))
    let guest = try TinyGuest(.long, GuestCode.copyOntoItself)
    try guest.vm.setMemoryRegion(
      slot: 1,
      guestAddress: 0x400000,
      size: 0x1000,
      unsafeHostAddress: rom.unsafeHostAddress(of: rom.regions[0]),
      options: .readOnly
    )

    let expected = VCPUExit.MMIO(address: 0x400000, width: 4, isWrite: true, value: 0x600D_F00D)
    #expect(try guest.next() == .mmio(expected))
    #expect(try guest.next() == .hlt)
    withExtendedLifetime(rom) {}
  }

  @Test func unknownModelSpecificRegistersAreExitsWhereAskedFor() throws {
    let guest = try TinyGuest(.long, GuestCode.modelSpecific)
    // KVM_MSR_EXIT_REASON_UNKNOWN.
    try guest.vm.enableCapability(.userSpaceMSR, argument: 1 << 1)

    #expect(try guest.next() == .readMSR(index: 0x1234_5678))
    guest.vcpu.completeMSRRead(0x1111_2222_3333_4444)
    #expect(
      try guest.next() == .writeMSR(index: 0x1234_5678, value: 0x1111_2222_3333_4444)
    )
    #expect(try guest.next() == .hlt)
  }

  @Test func refusedModelSpecificRegistersFault() throws {
    let guest = try TinyGuest(.long, GuestCode.modelSpecific)
    try guest.vm.enableCapability(.userSpaceMSR, argument: 1 << 1)
    try guest.setHandler(GuestCode.handler, for: 13)

    #expect(try guest.next() == .readMSR(index: 0x1234_5678))
    guest.vcpu.refuseMSR()

    #expect(try guest.next() == .port(.init(isWrite: true, port: 0x81, width: 1)))
  }

  @Test func aSingleStepIsAnExit() throws {
    let guest = try TinyGuest(.long, GuestCode.step)
    try guest.vcpu.setGuestDebug(.singleStep)

    #expect(try guest.next() == .debug(exception: 1, address: TinyGuest.codeAddress + 1))
    #expect(guest.vcpu.debugStatus.dr6 & 1 << 14 != 0)
    #expect(try guest.next() == .debug(exception: 1, address: TinyGuest.codeAddress + 2))
  }
}
