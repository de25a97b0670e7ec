import PCI
import TestSupport
import Testing

private struct Rig {
  let line = RecordingLine()
  let messages = FakeMessageInterrupts()
  let bus = PCIRootBus(in: FakePCIAddressSpace())
  let function: RegisterFunction
  let address = PCIAddress(device: 3)

  init() throws {
    function = try RegisterFunction(
      bars: [PCIBAR(0, .memory32(), size: 0x4000)],
      line: line,
      vectors: 2,
      messages: messages
    )
    try bus.add(function, at: address)
  }

  var status: UInt64 { bus.read(address, 0x06, width: 2) & 0x8 }
}

@Test func thePinIsInTheHeader() throws {
  let rig = try Rig()

  #expect(rig.bus.read(rig.address, 0x3D, width: 1) == 1)
  #expect(rig.function.configuration.interruptPin == .a)
}

@Test func aRequestRaisesTheLineAndTheStatus() throws {
  let rig = try Rig()

  rig.function.interruptPin?.assert()
  #expect(rig.line.isAsserted)
  #expect(rig.status == 0x8)

  rig.function.interruptPin?.deassert()
  #expect(!rig.line.isAsserted)
  #expect(rig.status == 0)
}

@Test func aDisabledPinStaysLowButShowsItsStatus() throws {
  let rig = try Rig()
  rig.bus.write(0x400, rig.address, 0x04, width: 2)

  rig.function.interruptPin?.assert()
  #expect(!rig.line.isAsserted)
  #expect(rig.status == 0x8)

  rig.bus.write(0x000, rig.address, 0x04, width: 2)
  #expect(rig.line.isAsserted)
}

@Test func disablingThePinLowersTheLine() throws {
  let rig = try Rig()
  rig.function.interruptPin?.assert()

  rig.bus.write(0x4, rig.address, 0x05, width: 1)

  #expect(!rig.line.isAsserted)
}

@Test func enabledMSIXSilencesThePin() throws {
  let rig = try Rig()
  rig.function.interruptPin?.assert()

  rig.bus.write(0x8000, rig.address, 0x42, width: 2)
  #expect(!rig.line.isAsserted)
  #expect(rig.function.msix?.isEnabled == true)

  rig.bus.write(0x0000, rig.address, 0x42, width: 2)
  #expect(rig.line.isAsserted)
  #expect(rig.line.rises == 2)
}

@Test func resetLowersTheLine() throws {
  let rig = try Rig()
  rig.function.interruptPin?.assert()

  rig.bus.reset()

  #expect(!rig.line.isAsserted)
  #expect(rig.status == 0)
}
