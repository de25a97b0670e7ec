import KVM
import Testing

/// Decoding that needs no KVM.
@Suite struct RegisterLayoutTests {
  @Test func a64BitCodeDescriptorIsDecoded() {
    let segment = Segment(selector: 0x08, descriptor: 0x00AF_9B00_0000_FFFF)

    #expect(segment.base == 0)
    #expect(segment.limit == 0xFFFF_FFFF)
    #expect(segment.selector == 0x08)
    #expect(segment.type == 0xB)
    #expect(segment.isCodeOrData && segment.isPresent && segment.is64Bit && segment.isGranular)
    #expect(!segment.is32Bit && !segment.isUnusable)
  }

  @Test func aDescriptorsScatteredBaseAndLimitAreGathered() {
    let segment = Segment(selector: 0x28, descriptor: 0x1200_E934_5678_9ABC)

    #expect(segment.base == 0x1234_5678)
    #expect(segment.limit == 0x9ABC)
    #expect(segment.privilegeLevel == 3)
    #expect(segment.type == 9)
    #expect(!segment.isCodeOrData)
  }

  @Test func aNullDescriptorIsUnusable() {
    #expect(Segment(selector: 0, descriptor: 0).isUnusable)
  }

  @Test func realModeSegmentsAreAtSixteenTimesTheSelector() {
    let segment = Segment.realMode(selector: 0xF000)

    #expect(segment.base == 0xF0000)
    #expect(segment.limit == 0xFFFF)
  }

  @Test func localAPICRegistersAreLittleEndianWords() {
    var state = LocalAPICState(bytes: [UInt8](repeating: 0, count: LocalAPICState.size))

    state[0x350] = 0x0001_0700

    #expect(Array(state.bytes[0x350..<0x354]) == [0x00, 0x07, 0x01, 0x00])
    #expect(state[0x350] == 0x0001_0700)
  }

  @Test func redirectionEntriesAreFoundByTheirPin() {
    let empty = [UInt8](repeating: 0, count: IRQChipState.size)
    var state = IRQChipState(.ioapic, bytes: empty)

    state[redirectionEntry: 23] = 0x0100_0000_0001_0041

    #expect(state[redirectionEntry: 23] == 0x0100_0000_0001_0041)
    #expect(state.bytes[24 + 23 * 8] == 0x41)
    #expect(state[redirectionEntry: 22] == 0)
  }

  @Test func anExitFitsInFourWords() {
    #expect(MemoryLayout<VCPUExit>.size <= 32)
  }
}
