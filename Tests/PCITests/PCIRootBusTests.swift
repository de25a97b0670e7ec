import HostOS
import PCI
import TestSupport
import Testing

@Test func theHostBridgeIsTheFirstFunction() {
  let bus = PCIRootBus(in: FakePCIAddressSpace())

  #expect(bus.read(PCIAddress(device: 0), 0x08, width: 4) >> 8 == 0x06_00_00)
  #expect(bus.functions.map(\.function.name) == ["host bridge"])
}

@Test(arguments: [(1, UInt64(0xFF)), (2, 0xFFFF), (4, 0xFFFF_FFFF), (8, .max)])
func absentFunctionsReadAllOnes(width: Int, ones: UInt64) {
  let bus = PCIRootBus(in: FakePCIAddressSpace())

  bus.write(0, PCIAddress(device: 5), 0, width: width)

  #expect(bus.read(PCIAddress(device: 5), 0, width: width) == ones)
}

@Test func twoFunctionsAtOneAddressAreAnErrorThatNamesBoth() throws {
  let bus = PCIRootBus(in: FakePCIAddressSpace())
  let address = PCIAddress(device: 3)
  try bus.add(RegisterFunction("disk0"), at: address)

  let error = #expect(throws: PCIError.self) {
    try bus.add(RegisterFunction("disk1"), at: address)
  }

  #expect(error == .addressInUse(address, existing: "disk0", new: "disk1"))
  #expect(bus.function(at: address)?.name == "disk0")
}

@Test func aRemovedFunctionIsAbsent() throws {
  let bus = PCIRootBus(in: FakePCIAddressSpace())
  let line = RecordingLine()
  let function = try RegisterFunction(line: line)
  let address = PCIAddress(device: 3)
  try bus.add(function, at: address)
  function.interruptPin?.assert()

  try bus.remove(at: address)

  #expect(bus.read(address, 0, width: 2) == 0xFFFF)
  #expect(!line.isAsserted)
  #expect(throws: PCIError.noFunction(address)) { try bus.remove(at: address) }
}

@Test func functionZeroSaysThatTheDeviceHasMoreFunctions() throws {
  let bus = PCIRootBus(in: FakePCIAddressSpace())
  try bus.add(RegisterFunction(), at: PCIAddress(device: 3, function: 1))
  try bus.add(RegisterFunction(), at: PCIAddress(device: 3, function: 0))
  try bus.add(RegisterFunction(), at: PCIAddress(device: 4, function: 0))

  #expect(bus.read(PCIAddress(device: 3), 0x0E, width: 1) == 0x80)
  #expect(bus.read(PCIAddress(device: 4), 0x0E, width: 1) == 0x00)
}

@Test func misalignedAccessesAreTakenApart() throws {
  let bus = PCIRootBus(in: FakePCIAddressSpace())
  let address = PCIAddress(device: 3)
  try bus.add(RegisterFunction(), at: address)

  bus.write(0xAA00_0400, address, 0x03, width: 4)

  #expect(bus.read(address, 0x01, width: 4) == 0x0456_7812)
  #expect(bus.read(address, 0x00, width: 8) == 0x0000_0004_5678_1234)
  #expect(bus.read(address, 0xFFF, width: 4) == 0xFFFF_FF00)
}

@Test func severalProcessorsMayConfigureOneFunction() throws {
  let space = FakePCIAddressSpace()
  let bus = PCIRootBus(in: space)
  let address = PCIAddress(device: 3)
  let function = try RegisterFunction(bars: [PCIBAR(0, .memory32(), size: 4096)])
  try bus.add(function, at: address)
  bus.write(0xE000_0000, address, 0x10, width: 4)

  @Sendable func configure() {
    for turn in 0..<500 {
      bus.write(turn % 2 == 0 ? 2 : 0, address, 0x04, width: 2)
      bus.write(0xE000_0000 + UInt64(turn % 8) << 12, address, 0x10, width: 4)
    }
  }
  let first = try HostOS.Thread("first") { configure() }
  let second = try HostOS.Thread("second") { configure() }
  first.join()
  second.join()
  bus.write(2, address, 0x04, width: 2)
  bus.write(0xE100_0000, address, 0x10, width: 4)

  #expect(bus.placements(at: address) == [0: 0xE100_0000])
  #expect(space.read(0xE100_0000, width: 4) == 0)
}
