import PCI
import TestSupport
import Testing

/// A bus with one function at 00:03.0, seen as the guest sees it.
private struct Rig {
  let space: FakePCIAddressSpace
  let bus: PCIRootBus
  let function: RegisterFunction
  let address = PCIAddress(device: 3)

  init(_ bars: [PCIBAR], reserved: [Range<UInt64>] = []) throws {
    space = FakePCIAddressSpace(reserved: reserved)
    bus = PCIRootBus(in: space)
    function = try RegisterFunction(bars: bars)
    try bus.add(function, at: address)
  }

  func write(_ value: UInt64, _ offset: Int, width: Int = 4) {
    bus.write(value, address, offset, width: width)
  }
}

@Test func aBARAnswersOnceItsSpaceIsEnabled() throws {
  let rig = try Rig([PCIBAR(0, .memory32(), size: 4096)])
  rig.write(0xE000_0000, 0x10)
  #expect(rig.space.read(0xE000_0010, width: 4) == 0xFFFF_FFFF)

  rig.write(0x2, 0x04, width: 2)
  rig.space.write(0x1234, 0xE000_0010, width: 4)

  #expect(rig.space.read(0xE000_0010, width: 4) == 0x1234)
  #expect(rig.bus.placements(at: rig.address) == [0: 0xE000_0000])
  #expect(rig.function.moves == ["0 0xe0000000"])
}

@Test func disabledDecodeTakesTheBARAway() throws {
  let rig = try Rig([PCIBAR(0, .memory32(), size: 4096)])
  rig.write(0xE000_0000, 0x10)
  rig.write(0x2, 0x04, width: 2)

  rig.write(0x0, 0x04, width: 1)

  #expect(rig.space.read(0xE000_0000, width: 4) == 0xFFFF_FFFF)
  #expect(rig.function.moves == ["0 0xe0000000", "0 nowhere"])
}

@Test func aBARMayMoveWhileItIsDecoded() throws {
  let rig = try Rig([PCIBAR(2, .memory64(), size: 0x4000)])
  rig.write(0xE000_0000, 0x18)
  rig.write(0x2, 0x04, width: 2)
  rig.space.write(7, 0xE000_0008, width: 4)

  rig.write(0x1, 0x1C)

  #expect(rig.space.read(0xE000_0008, width: 4) == 0xFFFF_FFFF)
  #expect(rig.space.read(0x1_E000_0008, width: 4) == 7)
  #expect(rig.function.moves == ["2 0xe0000000", "2 nowhere", "2 0x1e0000000"])
}

@Test func portAndMemoryDecodeAreSeparate() throws {
  let rig = try Rig([PCIBAR(0, .port, size: 32), PCIBAR(1, .memory32(), size: 4096)])
  rig.write(0xC000, 0x10)
  rig.write(0xE000_0000, 0x14)

  rig.write(0x1, 0x04, width: 2)

  #expect(rig.bus.placements(at: rig.address) == [0: 0xC000])
}

@Test func aBARIsNotDecodedWhileItIsSized() throws {
  let rig = try Rig([PCIBAR(0, .memory32(), size: 4096)])
  rig.write(0xE000_0000, 0x10)
  rig.write(0x2, 0x04, width: 2)

  rig.write(0xFFFF_FFFF, 0x10)
  #expect(rig.bus.placements(at: rig.address) == [:])
  rig.write(0xE000_0000, 0x10)

  #expect(rig.bus.placements(at: rig.address) == [0: 0xE000_0000])
  #expect(rig.bus.refusedPlacements == 0)
}

@Test(
  arguments: [
    (PCIBAR(0, .memory32(), size: 4096), UInt64(0), UInt64(0)),
    (PCIBAR(0, .memory64(), size: 1 << 32), 0, 0xFFFF_FFFF),
    (PCIBAR(0, .port, size: 32), 0xFFFF_FFE0, 0),
    (PCIBAR(0, .port, size: 32), 0x1_0000, 0),
  ]
)
func absurdAddressesAreNotDecoded(bar: PCIBAR, low: UInt64, high: UInt64) throws {
  let rig = try Rig([bar])
  rig.write(low, 0x10)
  rig.write(high, 0x14)

  rig.write(0x3, 0x04, width: 2)

  #expect(rig.bus.placements(at: rig.address) == [:])
}

@Test func aBAROverSomethingElseIsNotDecodedAndCounted() throws {
  let rig = try Rig([PCIBAR(0, .memory32(), size: 4096)], reserved: [0..<0x1000_0000])
  rig.write(0x2, 0x04, width: 2)

  rig.write(0x10_0000, 0x10)
  rig.write(0x0, 0x3C, width: 1)

  #expect(rig.bus.placements(at: rig.address) == [:])
  #expect(rig.bus.refusedPlacements == 1)
  #expect(rig.function.moves == [])
}

@Test func aRefusedMoveLeavesTheBARNowhere() throws {
  let rig = try Rig([PCIBAR(0, .memory32(), size: 4096)], reserved: [0x10_0000..<0x20_0000])
  rig.write(0xE000_0000, 0x10)
  rig.write(0x2, 0x04, width: 2)

  rig.write(0x10_0000, 0x10)

  #expect(rig.space.steps == ["map 0xe0000000", "unmap"])
  #expect(rig.function.moves == ["0 0xe0000000", "0 nowhere"])
}

@Test func twoBARsMaySwapTheirAddresses() throws {
  let rig = try Rig([PCIBAR(0, .memory32(), size: 4096), PCIBAR(1, .memory32(), size: 4096)])
  rig.write(0xE000_0000, 0x10)
  rig.write(0xE000_1000, 0x14)
  rig.write(0x2, 0x04, width: 2)

  rig.write(0xE000_1000, 0x10)
  rig.write(0xE000_0000, 0x14)

  #expect(rig.bus.placements(at: rig.address) == [0: 0xE000_1000, 1: 0xE000_0000])
}

@Test func removalFreesAddressesForWhoeverWasRefused() throws {
  let rig = try Rig([PCIBAR(0, .memory32(), size: 4096)])
  let other = try RegisterFunction("other", bars: [PCIBAR(0, .memory32(), size: 4096)])
  try rig.bus.add(other, at: PCIAddress(device: 4))
  rig.write(0xE000_0000, 0x10)
  rig.write(0x2, 0x04, width: 2)
  rig.bus.write(0xE000_0000, PCIAddress(device: 4), 0x10, width: 4)
  rig.bus.write(0x2, PCIAddress(device: 4), 0x04, width: 2)
  #expect(other.moves == [])

  try rig.bus.remove(at: rig.address)

  #expect(rig.function.moves == ["0 0xe0000000", "0 nowhere"])
  #expect(other.moves == ["0 0xe0000000"])
}

@Test func resetReturnsTheBARsToTheirFirstAddresses() throws {
  let bar = PCIBAR(0, .memory32(), size: 4096)
  let rig = try Rig([bar])
  rig.function.configuration.setAddress(0xE000_0000, of: bar)
  rig.write(0xE100_0000, 0x10)
  rig.write(0x2, 0x04, width: 2)

  rig.bus.reset()

  #expect(rig.function.resets == 1)
  #expect(rig.bus.placements(at: rig.address) == [:])
  #expect(rig.bus.read(rig.address, 0x10, width: 4) == 0xE000_0000)
}
