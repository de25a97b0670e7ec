import GuestMemory
import TestSupport
import Testing
import Virtio

@testable import Machine

/// Configurations that cannot be built, each with an error that names the thing and the remedy.
@Suite struct BoardErrorTests {
  @Test(arguments: [0, 32, 33, 256, .max] as [UInt64])
  func aPCINumberOutOfRangeIsRefused(slot: UInt64) throws {
    let error = try #require(throws: MachineError.self) {
      try BoardRig(disks: 1) { configuration, paths in
        configuration.disks = [.init(path: paths[0], address: slot)]
      }
    }
    guard case .slot(_, slot) = error else {
      Issue.record("\(error)")
      return
    }
    #expect(error.description.hasSuffix("disk0,slot=\(slot): PCI device numbers are 1 to 31"))
  }

  @Test func twoDisksCannotHaveOnePCINumber() throws {
    let error = try #require(throws: MachineError.self) {
      try BoardRig(disks: 2) { configuration, paths in
        configuration.disks = paths.map { .init(path: $0, address: 7) }
      }
    }
    guard case .addressTaken(let other, let wanted, "PCI device 7") = error else {
      Issue.record("\(error)")
      return
    }
    #expect(other.hasSuffix("disk0"))
    #expect(wanted.hasSuffix("disk1"))
  }

  @Test(arguments: [0, 0xFEB0_0800, 0xFEB0_0001, 0xFEC0_0000, 0xFEAF_F000, .max] as [UInt64])
  func registersThatAreNotInASlotAreRefused(address: UInt64) throws {
    let error = try #require(throws: MachineError.self) {
      try BoardRig(disks: 1) { configuration, paths in
        configuration.transport = .mmio
        configuration.disks = [.init(path: paths[0], address: address)]
      }
    }
    #expect(
      error.description.hasSuffix(
        "registers sit at a multiple of 0x1000 from 0xfeb00000 to 0xfebff000"
      )
    )
  }

  @Test func twoDisksCannotHaveTheSameRegisters() throws {
    let error = try #require(throws: MachineError.self) {
      try BoardRig(disks: 2) { configuration, paths in
        configuration.transport = .mmio
        configuration.disks = paths.map { .init(path: $0, address: 0xFEB0_3000) }
      }
    }
    #expect(error.description.hasSuffix("are both at 0xfeb03000: give one of them another address"))
  }

  @Test func thirtyOneDevicesFitOnThePCIBusAndNoMore() throws {
    let full = try BoardRig(disks: 30) { configuration, paths in
      configuration.disks = paths.map { .init(path: $0) }
    }
    #expect(full.board.pci.functions.filter { $0.address.device > 0 }.count == 31)

    #expect(throws: MachineError.tooManyDevices(kind: "PCI", limit: 31)) {
      try BoardRig(disks: 31) { configuration, paths in
        configuration.disks = paths.map { .init(path: $0) }
      }
    }
  }

  @Test func moreDevicesThanSlotsForRegistersAreRefused() throws {
    #expect(throws: MachineError.tooManyDevices(kind: "virtio-mmio", limit: 256)) {
      try BoardRig(disks: 256) { configuration, paths in
        configuration.transport = .mmio
        configuration.disks = paths.map { .init(path: $0) }
      }
    }
  }

  @Test func aDiskThatIsNotThereIsRefused() throws {
    #expect(throws: DiskImageError.missing(path: "/nonexistent/disk")) {
      try BoardRig { configuration, _ in configuration.disks = [.init(path: "/nonexistent/disk")] }
    }
  }

  /// Both opens are of one process, and each takes the lock for itself.
  @Test func oneImageCannotBeTwoDisks() throws {
    let error = try #require(throws: DiskImageError.self) {
      try BoardRig(disks: 1) { configuration, paths in
        configuration.disks = [.init(path: paths[0]), .init(path: paths[0])]
      }
    }
    #expect(error.description.contains("is in use"))
  }

  @Test func hugePagesThatTheHostLacksAreSaidToBeMissing() throws {
    let error = try #require(throws: MachineError.self) {
      try BoardRig { configuration, _ in
        configuration.memory = 200 << 30
        configuration.usesHugePages = true
      }
    }
    #expect(error.description.hasPrefix("--hugepages: the host's pool cannot provide 200G ("))
    #expect(error.description.contains("vm.nr_hugepages"))
  }

  @Test(arguments: [0, -1, 65, .max])
  func aMachineHasOneToSixtyFourProcessors(count: Int) {
    var configuration = MachineConfiguration(kernel: "kernel")
    configuration.processorCount = count
    #expect(throws: MachineError.processorCount(count)) { try configuration.validate() }
  }

  @Test func onlyOnePortHasTheTerminal() throws {
    var configuration = MachineConfiguration(kernel: "kernel")
    configuration.console = .standard
    #expect(throws: MachineError.standardStreamTaken) { try configuration.validate() }
    configuration.serial = .none
    try configuration.validate()
  }

  @Test(
    arguments: [
      .processorCount(0), .hostProcessorLimit(asked: 9, limit: 4), .memory(bytes: 1, reason: "r"),
      .hugePages(bytes: 1, reason: "r"), .slot(option: "--disk d", 0),
      .registers(option: "--disk d", 0, first: 1, last: 2),
      .addressTaken(by: "a", wanted: "b", address: "c"),
      .tooManyDevices(kind: "PCI", limit: 31), .standardStreamTaken,
      .stream(path: "p", reason: "r"),
    ] as [MachineError]
  )
  func everyErrorIsOneLine(error: MachineError) {
    #expect(!error.description.contains("\n"))
    #expect(error.description.contains(":"))
  }
}
