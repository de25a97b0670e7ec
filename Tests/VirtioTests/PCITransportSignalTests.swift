import DeviceModel
import HostOS
import Interrupts
import PCI
import Synchronization
import TestSupport
import Testing
import Virtio

/// Doorbells, vectors, and the INTx pin of the PCI transport.

@Test func everyQueueHasADoorbellInTheBAR() throws {
  let rig = try PCITransportRig()
  let first = PCITransportRig.base + rig.structure(2)

  #expect(rig.doorbells.attached.map(\.address) == [first, first + 4])
  rig.doorbells.ring(address: first + 4, width: 2, value: 1)

  #expect(rig.transport.controller.kicks[1].drain() == 1)
  #expect(rig.transport.controller.kicks[0].drain() == 0)
}

@Test func doorbellsFollowTheBAR() throws {
  let rig = try PCITransportRig()
  let offset = rig.structure(2)

  rig.place(at: 0x1_E100_0000)
  #expect(
    rig.doorbells.attached.map(\.address) == [0x1_E100_0000 + offset, 0x1_E100_0004 + offset]
  )

  rig.configure(0x04, 0x4, width: 2)
  #expect(rig.doorbells.attached == [])

  rig.configure(0x04, 0x6, width: 2)
  #expect(
    rig.doorbells.attached.map(\.address) == [0x1_E100_0000 + offset, 0x1_E100_0004 + offset]
  )
}

@Test func doorbellsWorkAgainAfterADeviceReset() throws {
  let rig = try PCITransportRig()
  rig.start()

  rig.write(0x14, 0, width: 1)
  rig.start()
  rig.doorbells.ring(address: PCITransportRig.base + rig.structure(2), width: 2)

  #expect(rig.probe.activation?.queues[0]?.kick.drain() == 1)
}

@Test func removalTakesTheDoorbellsDown() throws {
  let rig = try PCITransportRig()

  try rig.bus.remove(at: rig.address)

  #expect(rig.doorbells.attached == [])
}

@Test func aDoorbellThatIsTakenLeavesTheWriteToTheBAR() throws {
  let rig = try PCITransportRig()
  let wanted = Doorbell(address: 0xE100_0000 + rig.structure(2), width: 0)
  let stranger = try EventFD()
  try rig.doorbells.attach(wanted, to: stranger)

  rig.place(at: 0xE100_0000)
  rig.space.write(0, wanted.address, width: 2)

  #expect(rig.transport.controller.kicks[0].drain() == 1)
  rig.place(at: 0xE200_0000)
  #expect(rig.doorbells.attached.first == wanted)
}

@Test func withoutDoorbellsANotificationReachesTheQueue() throws {
  let rig = try PCITransportRig(hasDoorbells: false)

  rig.write(4, 1, width: 2, of: 2)
  rig.write(2, 1, width: 2, of: 2)

  #expect(rig.transport.controller.kicks[1].drain() == 1)
  #expect(rig.transport.controller.kicks[0].drain() == 0)
}

@Test func withoutMSIXAUsedBufferRaisesThePin() throws {
  let rig = try PCITransportRig(hasMSIX: false)
  rig.start()

  rig.probe.activation?.signals.signalQueue(0)
  #expect(rig.line.isAsserted)
  #expect(rig.configuration(0x06, width: 2) & 0x8 != 0)

  #expect(rig.interruptStatus == 1)
  #expect(!rig.line.isAsserted)
  #expect(rig.configuration(0x06, width: 2) & 0x8 == 0)
  #expect(rig.interruptStatus == 0)
}

@Test func aChangedConfigurationHasABitOfItsOwn() throws {
  let rig = try PCITransportRig()
  rig.start()

  rig.probe.activation?.signals.configurationChanged()
  rig.probe.activation?.signals.signalQueue(0)

  #expect(rig.line.rises == 1)
  #expect(rig.read(0, width: 4, of: 3) == 0)
  #expect(rig.interruptStatus == 3)
}

@Test func vectorsAreUnmappedUntilTheDriverMapsThem() throws {
  let rig = try PCITransportRig()
  #expect(rig.read(0x10, width: 2) == 0xFFFF)
  #expect(rig.read(0x1A, width: 2) == 0xFFFF)

  rig.write(0x10, 2, width: 2)
  rig.write(0x1A, 1, width: 2)

  #expect(rig.read(0x10, width: 2) == 2)
  #expect(rig.read(0x1A, width: 2) == 1)
}

@Test func aVectorThatDoesNotExistReadsBackAsNone() throws {
  let rig = try PCITransportRig()
  rig.write(0x10, 1, width: 2)

  rig.write(0x10, 3, width: 2)
  rig.write(0x1A, 0x8000, width: 2)

  #expect(rig.read(0x10, width: 2) == 0xFFFF)
  #expect(rig.read(0x1A, width: 2) == 0xFFFF)
}

@Test func withoutMSIXNoVectorCanBeMapped() throws {
  let rig = try PCITransportRig(hasMSIX: false)

  rig.write(0x10, 0, width: 2)

  #expect(rig.read(0x10, width: 2) == 0xFFFF)
}

@Test func aUsedBufferSignalsTheVectorOfItsQueue() throws {
  let rig = try PCITransportRig()
  rig.enableMSIX()
  rig.write(0x1A, 1, width: 2)
  rig.start()

  rig.probe.activation?.signals.signalQueue(0)

  #expect(rig.messages.made[1].deliveries.map(\.data) == [0x51])
  #expect(!rig.line.isAsserted)
  #expect(rig.interruptStatus == 0)
}

@Test func queuesMayShareAVector() throws {
  let rig = try PCITransportRig()
  rig.enableMSIX()
  for queue in 0..<UInt64(2) {
    rig.write(0x16, queue, width: 2)
    rig.write(0x1A, 2, width: 2)
  }
  rig.start()

  rig.probe.activation?.signals.signalQueue(0)
  #expect(rig.messages.made[2].deliveries.count == 1)
  rig.probe.activation?.signals.signalQueue(1)

  #expect(rig.messages.made[2].deliveries.count == 2)
}

@Test func anUnmappedQueueInterruptsNobody() throws {
  let rig = try PCITransportRig()
  rig.enableMSIX()
  rig.start()

  rig.probe.activation?.signals.signalQueue(0)

  #expect(rig.messages.made.flatMap(\.deliveries) == [])
  #expect(!rig.line.isAsserted)
}

@Test func aChangedConfigurationSignalsItsVector() throws {
  let rig = try PCITransportRig()
  rig.enableMSIX()
  rig.write(0x10, 0, width: 2)
  rig.start()

  rig.probe.activation?.signals.configurationChanged()

  #expect(rig.messages.made[0].deliveries.map(\.data) == [0x50])
  #expect(!rig.line.isAsserted)
  #expect(rig.interruptStatus == 2)
}

@Test func aBrokenDriverIsToldThroughTheConfigurationVector() throws {
  let rig = try PCITransportRig()
  rig.enableMSIX()
  rig.write(0x10, 2, width: 2)
  rig.start()

  rig.probe.activation?.signals.needsReset("queue 0 is broken")

  #expect(rig.read(0x14, width: 1) == 0x4F)
  #expect(rig.messages.made[2].deliveries.count == 1)
}

@Test func resetLowersThePinAndForgetsTheVectors() throws {
  let rig = try PCITransportRig()
  rig.write(0x10, 1, width: 2)
  rig.start()
  rig.probe.activation?.signals.signalQueue(0)
  #expect(rig.line.isAsserted)

  rig.write(0x14, 0, width: 1)

  #expect(!rig.line.isAsserted)
  #expect(rig.interruptStatus == 0)
  #expect(rig.read(0x10, width: 2) == 0xFFFF)
}

@Test func devicesThatShareAnInputDoNotLoseOneAnothersInterrupt() throws {
  final class Nobody: MessageTarget {
    func deliver(_ message: InterruptMessage) -> InterruptDelivery { .ignored }
  }
  let router = InterruptRouter(messages: Nobody())
  try router.setRoutes(.pc)
  let first = try PCITransportRig(hasMSIX: false, line: try router.makeSource(of: GSI(19)))
  let second = try PCITransportRig(hasMSIX: false, line: try router.makeSource(of: GSI(19)))
  first.start()
  second.start()
  first.probe.activation?.signals.signalQueue(0)
  second.probe.activation?.signals.signalQueue(0)

  #expect(first.interruptStatus == 1)
  #expect((router.ioAPICLevels.all == 1 << 19))

  #expect(second.interruptStatus == 1)
  #expect(!(router.ioAPICLevels.all == 1 << 19))
}
