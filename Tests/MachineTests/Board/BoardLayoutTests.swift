import DeviceModel
import GuestMemory
import PCI
import Platform
import TestSupport
import Testing

@testable import Machine

/// What is on the buses, where, and with which interrupt.
@Suite struct BoardLayoutTests {
  @Test func thePortsAreThoseOfAPersonalComputer() throws {
    let rig = try BoardRig()
    #expect(
      BoardRig.map(rig.board.portBus) == [
        "0x60-0x60 keyboard controller", "0x64-0x64 keyboard controller",
        "0x70-0x71 real-time clock", "0x3f8-0x3ff serial port",
        "0x600-0x\(String(0x600 + ACPIPowerManagement.size - 1, radix: 16)) ACPI power management",
        "0xcf8-0xcff PCI configuration, reset",
      ]
    )
    #expect(BoardRig.map(rig.board.memoryBus) == ["0xe0000000-0xe00fffff PCI configuration"])
  }

  @Test func devicesForTestsAreThereOnlyWhenAskedFor() throws {
    let rig = try BoardRig { configuration, _ in
      configuration.hasDebugExit = true
      configuration.hasTestDevice = true
    }
    let ports = BoardRig.map(rig.board.portBus)
    #expect(ports.contains("0xe0-0xef test device"))
    #expect(ports.contains("0x2000-0x2017 test device"))
    #expect(ports.contains("0xf4-0xf7 debug exit"))
    #expect(ports.contains { $0.hasPrefix("0x510-") && $0.hasSuffix("firmware configuration") })
    #expect(BoardRig.map(rig.board.memoryBus).contains("0xff000000-0xff00ffff test device"))
  }

  @Test func withoutASerialPortItsPortsAreNobodys() throws {
    let rig = try BoardRig { configuration, _ in configuration.serial = .none }
    #expect(!BoardRig.map(rig.board.portBus).contains { $0.contains("serial") })
    #expect(rig.board.serial == nil)
    #expect(!rig.board.interrupts.contains { $0.gsi.rawValue == 4 })
    #expect(BusView(of: rig.board.portBus).read(0x3F8, width: 1) == 0xFF)
  }

  @Test func theFirstFunctionIsTheHostBridge() throws {
    let rig = try BoardRig { configuration, _ in configuration.hasEntropy = false }
    #expect(rig.board.pci.functions.map(\.address) == [PCIAddress(device: 0)])
    #expect(rig.board.pci.read(PCIAddress(device: 0), 0x08, width: 4) >> 8 == 0x06_0000)
  }

  @Test(arguments: [true, false])
  func packedQueuesAreOfferedUnlessTheyAreTurnedOff(isOffered: Bool) throws {
    let rig = try BoardRig { configuration, _ in configuration.offersPackedRings = isOffered }
    let controller = try #require(rig.board.controllers.first)
    controller.deviceFeatureSelect = 1
    // virtio 1.2, 6: VIRTIO_F_RING_PACKED is bit 34.
    #expect(controller.deviceFeatures & 1 << 2 == (isOffered ? 1 << 2 : 0))
  }

  @Test func devicesGetPCINumbersInOrder() throws {
    let rig = try BoardRig(disks: 2) { configuration, paths in
      configuration.disks = paths.map { MachineConfiguration.Disk(path: $0) }
      configuration.console = .file("/dev/null")
    }
    let functions = rig.board.pci.functions.map { ($0.address, $0.function.configuration.deviceID) }
    // virtio 1.2, 4.1.2.1: the device ID is 0x1040 and the type.
    #expect(functions.map(\.0) == (0...4).map { PCIAddress(device: $0) })
    #expect(functions.map(\.1) == [8, 0x1042, 0x1042, 0x1043, 0x1044])
  }

  @Test func aDiskGetsThePCINumberThatItAsksFor() throws {
    let rig = try BoardRig(disks: 3) { configuration, paths in
      configuration.disks = [
        MachineConfiguration.Disk(path: paths[0]),
        MachineConfiguration.Disk(path: paths[1], address: 1),
        MachineConfiguration.Disk(path: paths[2], address: 31),
      ]
    }
    let names = rig.board.pci.functions.map { "\($0.address.device) \($0.function.name)" }
    #expect(names == ["0 host bridge", "1 disk1", "2 disk0", "3 rng0", "31 disk2"])
  }

  /// The 0x3C register, the tables and the wires are one rule.
  @Test func interruptsAreThoseThatTheTablesAndTheConfigurationSpaceSay() throws {
    let rig = try BoardRig(disks: 9) { configuration, paths in
      configuration.disks = paths.map { MachineConfiguration.Disk(path: $0) }
    }
    for (address, function) in rig.board.pci.functions.dropFirst() {
      let expected = ACPIConfiguration.interrupt(ofSlot: Int(address.device), pin: 0)
      #expect(rig.board.pci.read(address, 0x3C, width: 1) == UInt64(expected))
      #expect(rig.board.pci.read(address, 0x3D, width: 1) == 1)
      #expect(rig.board.interrupts.contains { $0 == (function.name, .init(expected)) })
    }
  }

  @Test func theTablesAndTheWiresUseTheSameRule() {
    for slot in 0..<32 {
      for pin in [PCIInterruptPin.Pin.a, .b, .c, .d] {
        #expect(
          ACPIConfiguration.interrupt(ofSlot: slot, pin: Int(pin.rawValue) - 1)
            == PCIInterruptRouting.gsi(device: UInt8(slot), pin: pin)
        )
      }
    }
  }

  /// A guest that never looks at BARs can use what the firmware chose.
  @Test func everyBARHasAnAddressOfItsOwnInsideAWindow() throws {
    let rig = try BoardRig(disks: 5) { configuration, paths in
      configuration.disks = paths.map { MachineConfiguration.Disk(path: $0) }
    }
    let windows = [MemoryMap.pciWindow32, rig.board.map.pciWindow64]
    var ranges: [Range<UInt64>] = []
    for (_, function) in rig.board.pci.functions {
      for bar in function.configuration.bars {
        let start = function.configuration.address(of: bar)
        ranges.append(start..<start + bar.size)
        #expect(start % bar.size == 0)
        #expect(
          windows.contains {
            $0.lowerBound.rawValue <= start && start + bar.size <= $0.upperBound.rawValue
          }
        )
      }
    }
    ranges.sort { $0.lowerBound < $1.lowerBound }
    #expect(ranges.count >= 6)
    #expect(zip(ranges, ranges.dropFirst()).allSatisfy { $0.upperBound <= $1.lowerBound })
  }

  /// Through the bus, as a guest would: enable memory in the command register, then read a BAR.
  @Test func aBARAnswersOnTheMemoryBusOnceTheGuestEnablesIt() throws {
    let rig = try BoardRig()
    let ports = BusView(of: rig.board.portBus)
    let memory = BusView(of: rig.board.memoryBus)
    let (address, function) = try #require(rig.board.pci.functions.last)
    let bar = try #require(function.configuration.bars.first)
    let start = function.configuration.address(of: bar)
    #expect(memory.read(start, width: 4) == 0xFFFF_FFFF)

    ports.write(1 << 31 | UInt64(address.requesterID) << 8 | 4, at: 0xCF8, width: 4)
    ports.write(2, at: 0xCFC, width: 2)

    // ECAM shows the same register.
    let ecam = MemoryMap.ecam.lowerBound.rawValue + UInt64(address.requesterID) << 12
    #expect(memory.read(ecam + 4, width: 2) == 2)
    #expect(memory.read(start, width: 4) != 0xFFFF_FFFF)
  }

  @Test func memoryMappedDevicesSitInTheirSlotsInOrder() throws {
    let rig = try BoardRig(disks: 2) { configuration, paths in
      configuration.transport = .mmio
      configuration.disks = [
        MachineConfiguration.Disk(path: paths[0]),
        MachineConfiguration.Disk(path: paths[1], address: 0xFEBF_F000),
      ]
    }
    #expect(
      BoardRig.map(rig.board.memoryBus) == [
        "0xe0000000-0xe00fffff PCI configuration", "0xfeb00000-0xfeb001ff disk0",
        "0xfeb01000-0xfeb011ff rng0", "0xfebff000-0xfebff1ff disk1",
      ]
    )
    #expect(rig.board.pci.functions.count == 1)
    #expect(
      rig.board.virtioMMIO.map(\.address.rawValue) == [0xFEB0_0000, 0xFEBF_F000, 0xFEB0_1000]
    )
    #expect(rig.board.virtioMMIO.map(\.interrupt) == [16, 17, 18])
    // virtio 1.2, 4.2.2: the magic value "virt", and version 2.
    let memory = BusView(of: rig.board.memoryBus)
    #expect(memory.read(0xFEBF_F000, width: 4) == 0x7472_6976)
    #expect(memory.read(0xFEBF_F004, width: 4) == 2)
  }

  @Test func memoryIsLaidOutAsTheMapSays() throws {
    let rig = try BoardRig { configuration, _ in configuration.memory = 4 << 30 }
    #expect(rig.board.memory.regions.map(\.start.rawValue) == [0, 4 << 30])
    #expect(rig.board.memory.regions.map(\.count) == [3 << 30, 1 << 30])
  }

  @Test func theTablesFitWhereTheyGo() throws {
    let rig = try BoardRig(disks: 30) { configuration, paths in
      configuration.processorCount = MachineConfiguration.processorLimit
      configuration.transport = .mmio
      configuration.disks = paths.map { MachineConfiguration.Disk(path: $0) }
    }
    let tables = rig.board.tables
    #expect(tables.address == MemoryMap.acpiTables.lowerBound)
    #expect(UInt64(tables.bytes.count) <= MemoryMap.acpiTables.byteCount)
  }

  @Test(
    arguments: [
      (0xCF9, 0x06, .reset), (0x64, 0xFE, .reset), (0xF4, 0x10, .exit(0x21)),
    ] as [(UInt64, UInt64, Outcome)]
  )
  func aWriteToAPortEndsTheRun(port: UInt64, value: UInt64, outcome: Outcome) throws {
    let rig = try BoardRig { configuration, _ in configuration.hasDebugExit = true }

    BusView(of: rig.board.portBus).write(value, at: port, width: 1)

    #expect(rig.control.result == outcome)
  }
}
