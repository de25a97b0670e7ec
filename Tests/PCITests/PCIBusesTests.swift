import DeviceModel
import PCI
import Testing

/// A machine's buses with configuration ports at 0xCF8 and one function at 00:03.0.
private struct Rig {
  let memory = Bus(.memory)
  let ports = Bus(.port)
  let memoryView: BusView
  let portView: BusView
  let bus: PCIRootBus
  let function: RegisterFunction

  init() throws {
    memoryView = BusView(of: memory)
    portView = BusView(of: ports)
    bus = PCIRootBus(in: PCIBuses(memory: memory, ports: ports, reserved: [0..<0x1000_0000]))
    function = try RegisterFunction(
      bars: [PCIBAR(0, .port, size: 32), PCIBAR(4, .memory64(), size: 0x4000)]
    )
    try bus.add(function, at: PCIAddress(device: 3))
    _ = try ports.register(
      PCIConfigurationPorts(bus),
      name: "configuration ports",
      at: [BusRange(PCIConfigurationPorts.firstPort, size: PCIConfigurationPorts.portCount)]
    )
  }

  /// Writes a register as a guest does, through the ports.
  func configure(_ offset: UInt64, _ value: UInt64) {
    portView.write(0x8000_1800 | offset, at: 0xCF8, width: 4)
    portView.write(value, at: 0xCFC, width: 4)
  }
}

@Test func aGuestPlacesAndMovesBARsThroughThePorts() throws {
  let rig = try Rig()
  rig.configure(0x10, 0xC000)
  rig.configure(0x20, 0xE000_0000)

  rig.configure(0x04, 0x3)
  rig.portView.write(1, at: 0xC004, width: 4)
  rig.memoryView.write(2, at: 0xE000_0008, width: 8)
  rig.configure(0x20, 0xE100_0000)

  #expect(rig.portView.read(0xC004, width: 4) == 1)
  #expect(rig.memoryView.read(0xE100_0008, width: 8) == 2)
  #expect(rig.memoryView.read(0xE000_0008, width: 8) == .max)
}

@Test func aGuestThatPutsABAROverRAMOrPortsOfOthersLosesTheBAR() throws {
  let rig = try Rig()
  rig.configure(0x10, 0xCE0)
  rig.configure(0x20, 0x0FFF_C000)

  rig.configure(0x04, 0x3)

  #expect(rig.bus.placements(at: PCIAddress(device: 3)) == [:])
  #expect(rig.bus.refusedPlacements == 2)
  #expect(rig.portView.read(0xCF8, width: 4) == 0x8000_1804)
}

@Test func aRemovedFunctionLeavesTheBuses() throws {
  let rig = try Rig()
  rig.configure(0x20, 0xE000_0000)
  rig.configure(0x04, 0x3)
  #expect(rig.memory.mappings.map(\.name) == ["BAR 4 of device at 00:03.0"])

  try rig.bus.remove(at: PCIAddress(device: 3))

  #expect(rig.memory.mappings.isEmpty)
  #expect(rig.memoryView.read(0xE000_0000, width: 4) == 0xFFFF_FFFF)
}
