import GuestMemory
import HostOS
import PCI
import TestSupport
import Testing
import Virtio

@Test func aDeviceBehindPCISaysThatItIsModern() throws {
  let rig = try PCITransportRig()

  #expect(rig.configuration(0x00) == 0x1042_1AF4)
  #expect(rig.configuration(0x08) == 0x0180_0001)
  #expect(rig.configuration(0x2E, width: 2) >= 0x40)
  #expect(rig.transport.name == "disk0")
}

@Test(arguments: [(1, 16, 0x3C), (2, 20, 8), (3, 16, 1), (4, 16, 16), (5, 20, 0)])
func everyStructureHasACapability(kind: UInt64, size: UInt64, count: UInt64) throws {
  let rig = try PCITransportRig()

  let start = try #require(rig.capability(kind))

  #expect(rig.configuration(start + 2, width: 1) == size)
  #expect(rig.configuration(start + 4, width: 1) == 0)
  #expect(rig.configuration(start + 12) == count)
}

@Test func theNotificationMultiplierIsFour() throws {
  let rig = try PCITransportRig()

  let start = try #require(rig.capability(2))

  #expect(rig.configuration(start + 16) == 4)
}

@Test func aDeviceWithoutConfigurationHasNoStructureForIt() throws {
  let rig = try PCITransportRig(configurationCount: 0)

  #expect(rig.capability(4) == nil)
}

@Test func featuresAreSeenThroughWindows() throws {
  let rig = try PCITransportRig()

  rig.write(0x00, 0, width: 4)
  #expect(rig.read(0x04, width: 4) == 1 << 5 | 1 << 28 | 1 << 29)
  rig.write(0x00, 1, width: 4)
  #expect(rig.read(0x04, width: 4) == 1 << 8 | 0b1000101)
  rig.write(0x00, 2, width: 4)
  #expect(rig.read(0x04, width: 4) == 0)
}

@Test func queueRegistersBelongToTheSelectedQueue() throws {
  let rig = try PCITransportRig()
  #expect(rig.read(0x12, width: 2) == 2)

  rig.write(0x16, 1, width: 2)
  rig.write(0x18, 32, width: 2)

  #expect(rig.read(0x18, width: 2) == 32)
  #expect(rig.read(0x1E, width: 2) == 1)
  rig.write(0x16, 0, width: 2)
  #expect(rig.read(0x18, width: 2) == 256)
  #expect(rig.read(0x1E, width: 2) == 0)
}

@Test func aQueueThatDoesNotExistReadsZero() throws {
  let rig = try PCITransportRig()
  rig.write(0x16, 2, width: 2)

  rig.write(0x18, 16, width: 2)
  rig.write(0x1A, 0, width: 2)
  rig.write(0x1C, 1, width: 2)
  rig.write(0x20, 0x1000, width: 8)

  let registers: [UInt64] = [0x18, 0x1C, 0x1E].map { rig.read($0, width: 2) }
  #expect(registers == [0, 0, 0])
  #expect(rig.read(0x1A, width: 2) == 0xFFFF)
  #expect(rig.read(0x20, width: 8) == 0)
}

@Test(arguments: [0x20, 0x28, 0x30] as [UInt64])
func addressesAreWrittenWholeOrInHalves(offset: UInt64) throws {
  let rig = try PCITransportRig()

  rig.write(offset, 0x1122_3344_5566_7788, width: 8)
  #expect(rig.read(offset, width: 4) == 0x5566_7788)
  #expect(rig.read(offset + 4, width: 4) == 0x1122_3344)

  rig.write(offset + 4, 0x9, width: 4)
  #expect(rig.read(offset, width: 8) == 0x9_5566_7788)
}

@Test(
  arguments: [
    (0x00, 1), (0x00, 2), (0x10, 4), (0x14, 2), (0x14, 4), (0x15, 2), (0x16, 1), (0x16, 4),
    (0x18, 4), (0x20, 2), (0x22, 4), (0x02, 2), (0x3C, 4), (0x38, 2), (0x3A, 2),
  ] as [(UInt64, Int)]
)
func accessesThatMatchNoRegisterReadZeroAndAreIgnored(offset: UInt64, width: Int) throws {
  let rig = try PCITransportRig()
  rig.write(0x00, 1, width: 4)
  rig.write(0x14, 1, width: 1)
  rig.write(0x16, 1, width: 2)

  rig.write(offset, 0, width: width)

  #expect(rig.read(offset, width: width) == 0)
  #expect(rig.read(0x00, width: 4) == 1)
  #expect(rig.read(0x14, width: 1) == 1)
  #expect(rig.read(0x16, width: 2) == 1)
}

@Test func theDriverStartsTheDevice() throws {
  let rig = try PCITransportRig()

  rig.start()

  let activation = try #require(rig.probe.activation)
  #expect(activation.features == .version1)
  #expect(activation.queues[0]?.descriptorTable.rawValue == 0x1000)
  #expect(activation.queues[0]?.availableRing.rawValue == 0x2000)
  #expect(activation.queues[0]?.usedRing.rawValue == 0x3000)
  #expect(activation.queues[1]?.size == nil)
  #expect(rig.read(0x1C, width: 2) == 1)
  #expect(rig.read(0x14, width: 1) == 0xF)
}

@Test func writingZeroToTheStatusResetsTheDevice() throws {
  let rig = try PCITransportRig()
  rig.start()
  rig.write(0x10, 0, width: 2)

  rig.write(0x14, 0, width: 1)

  #expect(rig.probe.activation == nil)
  #expect(rig.probe.resets == 1)
  #expect(rig.read(0x14, width: 1) == 0)
  #expect(rig.read(0x1C, width: 2) == 0)
  #expect(rig.read(0x10, width: 2) == 0xFFFF)
}

@Test func resettingTheBusResetsTheDevice() throws {
  let rig = try PCITransportRig()
  rig.start()

  rig.bus.reset()

  #expect(rig.probe.activation == nil)
  #expect(rig.doorbells.attached == [])
}

@Test func theDeviceConfigurationIsReadAtAnyWidth() throws {
  let rig = try PCITransportRig()

  rig.write(1, 0xAB, width: 1, of: 4)

  #expect(rig.read(0, width: 8, of: 4) == 0x1122_3344_5566_AB88)
  #expect(rig.read(1, width: 1, of: 4) == 0xAB)
  #expect(rig.read(6, width: 2, of: 4) == 0x1122)
}

@Test func theConfigurationGenerationCountsChanges() throws {
  let rig = try PCITransportRig()
  rig.start()
  let before = rig.read(0x15, width: 1)

  rig.probe.activation?.signals.configurationChanged()

  #expect(rig.read(0x15, width: 1) == before + 1)
}

// MARK: The access window

@Test func theAccessWindowReadsTheBARThoughItIsNotDecoded() throws {
  let rig = try PCITransportRig()
  let window = try #require(rig.capability(5))
  rig.configure(0x04, 0, width: 2)

  rig.configure(window + 4, 0, width: 1)
  rig.configure(window + 8, 0x12)
  rig.configure(window + 12, 2)

  #expect(rig.configuration(window + 16, width: 2) == 2)
}

@Test func theAccessWindowWritesTheBAR() throws {
  let rig = try PCITransportRig()
  let window = try #require(rig.capability(5))
  rig.configure(window + 8, 0x14)
  rig.configure(window + 12, 1)

  rig.configure(window + 16, 0x3, width: 1)

  #expect(rig.read(0x14, width: 1) == 3)
  #expect(rig.configuration(window + 16, width: 1) == 3)
}

@Test func theAccessWindowReachesTheVectorTable() throws {
  let rig = try PCITransportRig()
  let window = try #require(rig.capability(5))
  rig.configure(window + 8, rig.tableOffset + 8)
  rig.configure(window + 12, 4)

  rig.configure(window + 16, 0x77)

  #expect(rig.space.read(PCITransportRig.base + rig.tableOffset + 8, width: 4) == 0x77)
}

@Test(
  arguments: [
    (0, 0x12, 3), (0, 0x12, 8), (0, 0x12, 0), (0, 0x12, 0xFFFF_FFFF), (1, 0x12, 2), (0, 0x11, 2),
    (0, 0xFFFF_FFFE, 2),
  ] as [(UInt64, UInt64, UInt64)]
)
func anAccessWindowThatPointsNowhereDoesNothing(
  bar: UInt64,
  offset: UInt64,
  length: UInt64
) throws {
  let rig = try PCITransportRig()
  let window = try #require(rig.capability(5))
  rig.configure(window + 4, bar, width: 1)
  rig.configure(window + 8, offset)
  rig.configure(window + 12, length)

  rig.configure(window + 16, 0xAABB_CCDD)

  #expect(rig.configuration(window + 16) == 0xAABB_CCDD)
}

@Test func aQueueThatIsResetHasNoVectorAndIsDisabled() throws {
  let rig = try PCITransportRig()
  for status in [1, 3] as [UInt64] { rig.write(0x14, status, width: 1) }
  rig.write(0x08, 1, width: 4)
  rig.write(0x0C, 1 << 8 | 1, width: 4)
  rig.write(0x14, 0xB, width: 1)
  rig.write(0x1A, 1, width: 2)
  rig.write(0x20, 0x1000, width: 8)
  rig.write(0x28, 0x2000, width: 8)
  rig.write(0x30, 0x3000, width: 8)
  rig.write(0x1C, 1, width: 2)
  rig.write(0x14, 0xF, width: 1)
  #expect(rig.read(0x1A, width: 2) == 1)

  rig.write(0x3A, 1, width: 2)

  #expect(rig.probe.queueResets == [0])
  #expect(rig.read(0x3A, width: 2) == 0)
  #expect(rig.read(0x1C, width: 2) == 0)
  #expect(rig.read(0x1A, width: 2) == 0xFFFF)
  #expect(rig.read(0x20, width: 4) == 0)
  rig.write(0x20, 0x4000, width: 8)
  rig.write(0x28, 0x5000, width: 8)
  rig.write(0x30, 0x6000, width: 8)
  rig.write(0x1C, 1, width: 2)
  #expect(rig.read(0x1C, width: 2) == 1)
  #expect(rig.probe.queueRestarts == [GuestAddress(0x4000)])
}
