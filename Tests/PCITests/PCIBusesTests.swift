import DeviceModel
import HostOS
import PCI
import Testing

/// A machine's buses with configuration ports at 0xCF8 and one function at 00:03.0.
private final class Rig {
  let memory = Bus(.memory)
  let ports = Bus(.port)
  let memoryView: BusView
  let portView: BusView
  let bus: PCIRootBus
  let function: RegisterFunction
  private let ticket: BusRegistration

  init() throws {
    memoryView = BusView(of: memory)
    portView = BusView(of: ports)
    bus = PCIRootBus(in: PCIBuses(memory: memory, ports: ports, reserved: [0..<0x1000_0000]))
    function = try RegisterFunction(
      bars: [PCIBAR(0, .port, size: 32), PCIBAR(4, .memory64(), size: 0x4000)]
    )
    try bus.add(function, at: PCIAddress(device: 3))
    ticket = try ports.register(
      PCIConfigurationPorts(bus),
      name: "configuration ports",
      at: [BusRange(PCIConfigurationPorts.firstPort, size: PCIConfigurationPorts.portCount)]
    )
  }

  deinit {
    // A circle of references otherwise: ports, configuration ports, PCI bus, ports.
    ports.remove(ticket)
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

@Test func processorsMoveBARsWhileOthersUseThemAndOneIsRemoved() throws {
  let memory = Bus(.memory)
  let bus = PCIRootBus(in: PCIBuses(memory: memory, ports: Bus(.port)))
  for device in 3...4 as ClosedRange<UInt8> {
    let function = try RegisterFunction(bars: [PCIBAR(0, .memory32(), size: 4096)])
    try bus.add(function, at: PCIAddress(device: device))
  }
  let window = PCIConfigurationWindow(bus, busCount: 1)
  let ticket = try memory.register(
    window,
    name: "ECAM",
    at: [BusRange(0xB000_0000, size: window.size)]
  )
  defer { memory.remove(ticket) }
  @Sendable func configure(_ device: UInt64) {
    let view = BusView(of: memory)
    let header = 0xB000_0000 + device << 15
    for turn in 0..<300 as Range<UInt64> {
      view.write(0xE000_0000 + (turn % 4) << 12, at: header + 0x10, width: 4)
      view.write(turn % 2 &* 2, at: header + 0x04, width: 2)
      view.write(turn, at: 0xE000_0000 + (turn % 4) << 12, width: 4)
    }
  }

  let first = try HostOS.Thread("first") { configure(3) }
  let second = try HostOS.Thread("second") { configure(3) }
  let third = try HostOS.Thread("third") { configure(4) }
  try bus.remove(at: PCIAddress(device: 4))
  first.join()
  second.join()
  third.join()
  let view = BusView(of: memory)
  view.write(0xE100_0000, at: 0xB001_8010, width: 4)
  view.write(2, at: 0xB001_8004, width: 2)

  #expect(memory.mappings.map(\.addresses.lowerBound) == [0xB000_0000, 0xE100_0000])
}
