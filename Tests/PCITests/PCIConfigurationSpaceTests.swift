import DeviceModel
import PCI
import Testing

private func makeSpace(_ bars: [PCIBAR] = []) -> PCIConfigurationSpace {
  PCIConfigurationSpace(
    PCIIdentity(
      vendorID: 0x1AF4,
      deviceID: 0x1042,
      revision: 1,
      classCode: 0x01_80_00,
      subsystemVendorID: 0x1AF4,
      subsystemID: 0x1100
    ),
    bars: bars
  )
}

@Test func theHeaderSaysWhatTheFunctionIs() {
  let space = makeSpace()

  #expect(space.read(0x00, width: 4) == 0x1042_1AF4)
  #expect(space.read(0x08, width: 4) == 0x0180_0001)
  #expect(space.read(0x2C, width: 4) == 0x1100_1AF4)
  #expect(space.read(0x0E, width: 1) == 0)
  #expect(space.classCode == 0x01_80_00)
}

@Test func readOnlyRegistersKeepTheirValue() {
  let space = makeSpace()

  space.write(0xFFFF_FFFF, 0x00, width: 4)
  space.write(0xFF, 0x09, width: 1)

  #expect(space.read(0x00, width: 4) == 0x1042_1AF4)
  #expect(space.read(0x08, width: 4) == 0x0180_0001)
}

@Test func commandEnablesOnlySpacesThatTheFunctionHas() {
  let none = makeSpace()
  let memory = makeSpace([PCIBAR(0, .memory32(), size: 4096)])
  let port = makeSpace([PCIBAR(0, .port, size: 32)])

  for space in [none, memory, port] { space.write(0xFFFF, 0x04, width: 2) }

  #expect(none.read(0x04, width: 2) == 0x0544)
  #expect(memory.read(0x04, width: 2) == 0x0546)
  #expect(port.read(0x04, width: 2) == 0x0545)
}

@Test func errorBitsAreClearedByWritingOne() {
  let space = makeSpace()
  space.store(0xF900, 0x06, width: 2)

  space.write(0x8000, 0x06, width: 2)

  #expect(space.read(0x06, width: 2) == 0x7900)
}

@Test func bytesAndWordsReachTheirPartOfARegister() {
  let space = makeSpace()

  space.write(0x04, 0x05, width: 1)
  space.write(0x2B, 0x3C, width: 1)

  #expect(space.read(0x04, width: 4) & 0xFFFF == 0x0400)
  #expect(space.read(0x3C, width: 2) == 0x002B)
}

@Test(arguments: [(1, 4), (3, 2), (2, 4), (0, 3), (0, 8), (0, 0), (4096, 1), (-4, 4)])
func accessesThatReachNoRegisterReadZeroAndAreIgnored(offset: Int, width: Int) {
  let space = makeSpace()

  space.write(0xFFFF_FFFF, offset, width: width)

  #expect(space.read(offset, width: width) == 0)
  #expect(space.read(0x04, width: 2) == 0)
}

@Test func capabilitiesFormAList() {
  let space = makeSpace()

  let first = space.addVendorCapability([1, 2, 3, 4, 5, 6], writable: [0xFF])
  let second = space.addCapability(PCICapabilityID(rawValue: 0x01), [0xAA])

  #expect(first == 0x40)
  #expect(second == 0x4C)
  #expect(space.read(0x06, width: 2) & 0x10 != 0)
  #expect(space.read(0x34, width: 1) == 0x40)
  #expect(space.read(0x40, width: 4) == 0x0109_4C09)
  #expect(space.read(0x4C, width: 4) == 0x00AA_0001)
}

@Test func onlyWritableBytesOfACapabilityChange() {
  let space = makeSpace()
  let start = space.addVendorCapability([1, 2], writable: [0x0F, 0x00])

  space.write(0xFFFF_FFFF, start, width: 4)
  space.write(0xFFFF_FFFF, start + 4, width: 4)

  #expect(space.read(start, width: 4) == 0x0F05_0009)
  #expect(space.read(start + 4, width: 4) == 2)
}

@Test func resetBringsBackWhatWasLaidOut() {
  let bar = PCIBAR(0, .memory32(), size: 4096)
  let space = makeSpace([bar])
  space.setAddress(0xE000_0000, of: bar)
  space.write(0x2, 0x04, width: 2)
  space.write(0xE100_0000, 0x10, width: 4)

  space.reset()

  #expect(space.command == [])
  #expect(space.address(of: bar) == 0xE000_0000)
}

@Test(
  arguments: [
    (PCIBAR(0, .memory32(), size: 0x1000), UInt32(0xFFFF_F000), UInt32(0)),
    (PCIBAR(0, .memory32(prefetchable: true), size: 16), 0xFFFF_FFF8, 0),
    (PCIBAR(0, .memory64(), size: 0x4000), 0xFFFF_C004, 0xFFFF_FFFF),
    (PCIBAR(0, .memory64(prefetchable: true), size: 1 << 33), 0x0000_000C, 0xFFFF_FFFE),
    (PCIBAR(0, .port, size: 4), 0xFFFF_FFFD, 0),
    (PCIBAR(0, .port, size: 256), 0xFFFF_FF01, 0),
  ]
)
func writingOnesToABARReadsBackItsSize(bar: PCIBAR, low: UInt32, high: UInt32) {
  let space = makeSpace([bar])

  space.write(0xFFFF_FFFF, 0x10, width: 4)
  space.write(0xFFFF_FFFF, 0x14, width: 4)

  #expect(space.read(0x10, width: 4) == low)
  #expect(space.read(0x14, width: 4) == high)
}

@Test func registersWithoutABARReadZero() {
  let space = makeSpace([PCIBAR(2, .memory32(), size: 4096)])

  space.write(0xFFFF_FFFF, 0x10, width: 4)
  space.write(0xFFFF_FFFF, 0x30, width: 4)

  #expect(space.read(0x10, width: 4) == 0)
  #expect(space.read(0x30, width: 4) == 0)
}
