import DeviceModel
import PCI
import Synchronization
import TestSupport
import Testing

/// The eight ports of mechanism #1, by offset from 0xCF8.
private struct Ports {
  let bus = PCIRootBus(in: FakePCIAddressSpace())
  let ports: PCIConfigurationPorts

  init(resetRegister: (any BusDevice)? = nil) throws {
    try bus.add(RegisterFunction(), at: PCIAddress(device: 3))
    ports = PCIConfigurationPorts(bus, resetRegister: resetRegister)
  }

  func read(_ port: UInt64, width: Int) -> UInt64 {
    ports.read(BusAccess(offset: port - 0xCF8, width: width))
  }

  func write(_ value: UInt64, _ port: UInt64, width: Int) {
    ports.write(value, BusAccess(offset: port - 0xCF8, width: width))
  }
}

@Test(
  arguments: [
    (0xCFC, 4, UInt64(0x5678_1234)), (0xCFC, 2, 0x1234), (0xCFE, 2, 0x5678), (0xCFD, 1, 0x12),
    (0xCFD, 2, 0x7812), (0xCFF, 1, 0x56),
  ] as [(UInt64, Int, UInt64)]
)
func dataPortsReachThePartOfTheRegister(port: UInt64, width: Int, value: UInt64) throws {
  let ports = try Ports()

  ports.write(0x8000_1800, 0xCF8, width: 4)

  #expect(ports.read(port, width: width) == value)
}

@Test func dataPortsWriteThePartOfTheRegister() throws {
  let ports = try Ports()
  ports.write(0x8000_183C, 0xCF8, width: 4)

  ports.write(0x2B, 0xCFC, width: 1)
  ports.write(0xFF, 0xCFD, width: 1)

  #expect(ports.read(0xCFC, width: 4) == 0x2B)
}

@Test func theAddressRegisterReadsBackWithoutReservedBits() throws {
  let ports = try Ports()

  ports.write(0xFFFF_FFFF, 0xCF8, width: 4)

  #expect(ports.read(0xCF8, width: 4) == 0x80FF_FFFC)
}

@Test(arguments: [(0xCF8, 1), (0xCF8, 2), (0xCFA, 2), (0xCFB, 1), (0xCF9, 1)] as [(UInt64, Int)])
func partialAccessesDoNotReachTheAddressRegister(port: UInt64, width: Int) throws {
  let ports = try Ports()
  ports.write(0x8000_1800, 0xCF8, width: 4)

  ports.write(0, port, width: width)

  #expect(ports.read(0xCF8, width: 4) == 0x8000_1800)
  #expect(ports.read(port, width: width) == UInt64.max >> UInt64(64 - 8 * width))
}

@Test func withoutTheEnableBitTheDataPortsAreNobodys() throws {
  let ports = try Ports()

  ports.write(0x0000_1800, 0xCF8, width: 4)

  #expect(ports.read(0xCFC, width: 4) == 0xFFFF_FFFF)
}

@Test(arguments: [(0xCFE, 4), (0xCFD, 4), (0xCFF, 2), (0xCFC, 8)] as [(UInt64, Int)])
func accessesBeyondTheDataPortsReadAllOnes(port: UInt64, width: Int) throws {
  let ports = try Ports()
  ports.write(0x8000_1800, 0xCF8, width: 4)

  ports.write(0, port, width: width)

  #expect(ports.read(port, width: width) == UInt64.max >> UInt64(64 - 8 * width))
}

@Test func aByteAtTheResetRegisterGoesToIt() throws {
  final class Register: BusDevice {
    let value = Atomic<UInt64>(0)
    func read(_ access: BusAccess) -> UInt64 { value.load(ordering: .relaxed) }
    func write(_ value: UInt64, _ access: BusAccess) {
      self.value.store(value, ordering: .relaxed)
    }
  }
  let ports = try Ports(resetRegister: Register())

  ports.write(0x8000_0600, 0xCF8, width: 4)
  #expect(ports.read(0xCF9, width: 1) == 0)
  ports.write(0x06, 0xCF9, width: 1)

  #expect(ports.read(0xCF9, width: 1) == 0x06)
  #expect(ports.read(0xCF8, width: 4) == 0x8000_0600)
}

@Test func theMemoryWindowReachesEveryByteOfAFunction() throws {
  let bus = PCIRootBus(in: FakePCIAddressSpace())
  let function = try RegisterFunction()
  try bus.add(function, at: PCIAddress(bus: 1, device: 3, function: 2))
  function.configuration.define(0xFFC, width: 4, 0xCAFE_F00D)
  let window = PCIConfigurationWindow(bus, busCount: 2)
  let base: UInt64 = 1 << 20 | 3 << 15 | 2 << 12

  #expect(window.size == 2 << 20)
  #expect(window.read(BusAccess(offset: base, width: 4)) == 0x5678_1234)
  #expect(window.read(BusAccess(offset: base + 0xFFC, width: 4)) == 0xCAFE_F00D)
  #expect(window.read(BusAccess(offset: base + 0xFFE, width: 2)) == 0xCAFE)
  #expect(window.read(BusAccess(offset: base + 0xFF8, width: 8)) == 0xCAFE_F00D_0000_0000)
  #expect(window.read(BusAccess(offset: 0x8000, width: 4)) == 0xFFFF_FFFF)
  #expect(window.read(BusAccess(offset: 2 << 20, width: 4)) == 0xFFFF_FFFF)
}

@Test func theMemoryWindowWrites() throws {
  let bus = PCIRootBus(in: FakePCIAddressSpace())
  try bus.add(RegisterFunction(), at: PCIAddress(device: 3))
  let window = PCIConfigurationWindow(bus)

  window.write(0x2B, BusAccess(offset: 3 << 15 | 0x3C, width: 1))
  window.write(0xFF, BusAccess(offset: 4 << 15 | 0x3C, width: 1))

  #expect(window.read(BusAccess(offset: 3 << 15 | 0x3C, width: 4)) == 0x2B)
}
