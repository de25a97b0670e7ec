import DeviceModel
import GuestMemory
import HostOS
import RemoteDevice
import Testing
import TestSupport
import Virtio

/// A virtio disk as whoever hosts it for a peer drives it.
@Suite(.timeLimit(.minutes(5))) struct HostedFunctionTests {
  @Test(arguments: [[], .packedRing] as [VirtioFeatures])
  func aDiskIsReadThroughItsRegisters(without: VirtioFeatures) throws {
    let rig = try HostedDiskRig()
    let queue = try rig.start(without: without)

    #expect(try rig.readsSector(3, queue))
    #expect(try rig.readsSector(63, queue))
    #expect(waitUntil { rig.line.isAsserted })
    #expect(rig.function.read(BusAccess(region: 0, offset: 0x1000, width: 1)) & 1 == 1)
    #expect(!rig.line.isAsserted)
    #expect(rig.log.notices == [])
  }

  @Test func aDoorbellRingsForTheOffsetOfItsQueue() throws {
    let rig = try HostedDiskRig()
    let queue = try rig.start()
    let entries = rig.doorbells.entries(in: 0)
    #expect(entries.map(\.doorbell.address) == [PCIDriverTransport.notification])
    #expect(rig.doorbells.entries(in: 1).isEmpty)

    let (buffers, data) = try rig.readRequest(5)
    try queue.add(buffers)
    entries[0].event.signal()

    _ = try rig.driver.waitForUsed(queue)
    #expect(try rig.hasSector(5, at: data))
  }

  @Test(arguments: [[], .packedRing, .eventIndex] as [VirtioFeatures])
  func memoryIsReplacedUnderADiskAtWork(without: VirtioFeatures) throws {
    let rig = try HostedDiskRig()
    let queue = try rig.start(without: without)

    for round in 0..<40 {
      var wanted: [UInt32: (sector: UInt64, data: GuestAddress)] = [:]
      for index in 0..<8 {
        let sector = UInt64((round * 8 + index) % 64)
        let (buffers, data) = try rig.readRequest(sector)
        wanted[UInt32(try queue.add(buffers))] = (sector, data)
        try rig.driver.kick(0, queue)
        if index % 3 == 0 { rig.function.use(try rig.ranges()) }
      }
      while !wanted.isEmpty {
        let used = try rig.driver.waitForUsed(queue)
        let found = wanted.removeValue(forKey: used.head)
        let done = try #require(found)
        #expect(try rig.hasSector(done.sector, at: done.data))
      }
      #expect(try queue.takeUsed() == nil)
    }
    #expect(rig.log.notices == [])
  }

  @Test(arguments: [[], .packedRing] as [VirtioFeatures])
  func aDiskWithoutItsQueuesMemoryWaitsUntilItIsBack(without: VirtioFeatures) throws {
    let rig = try HostedDiskRig()
    let queue = try rig.start(without: without)
    #expect(try rig.readsSector(1, queue))

    rig.function.use(try rig.ranges(without: [0]))
    let (buffers, data) = try rig.readRequest(2)
    try queue.add(buffers)
    try rig.driver.kick(0, queue)
    #expect(rig.transport.status == 15)
    #expect(try queue.takeUsed() == nil)
    rig.function.use(try rig.ranges(without: [0, HostedDiskRig.high]))
    #expect(try queue.takeUsed() == nil)
    rig.function.use(try rig.ranges())

    _ = try rig.driver.waitForUsed(queue)
    #expect(try rig.hasSector(2, at: data))
    #expect(rig.transport.status == 15)
    #expect(rig.log.notices == [])
  }

  @Test func aDriverMayResetADiskWithoutItsMemory() throws {
    let rig = try HostedDiskRig()
    _ = try rig.start()
    rig.function.use(try rig.ranges(without: [0]))

    rig.transport.status = 0
    #expect(rig.transport.status == 0)
    let queue = try rig.start()

    #expect(try rig.readsSector(9, queue))
  }

  @Test func aQueueThatIsResetMeanwhileBeginsAnew() throws {
    let rig = try HostedDiskRig()
    let queue = try rig.start(without: .packedRing)
    #expect(try rig.readsSector(1, queue))
    rig.function.use(try rig.ranges(without: [0]))

    #expect(rig.transport.resetQueue(0))
    rig.function.use(try rig.ranges())
    let fresh = try rig.driver.makeQueue(0)

    #expect(try rig.readsSector(2, fresh))
    rig.function.use(try rig.ranges())
    #expect(try rig.readsSector(3, fresh))
    #expect(rig.log.notices == [])
  }

  @Test(arguments: [[], .packedRing] as [VirtioFeatures])
  func aQueueThatWasResetBeginsAnewThoughItsMemoryGoesMeanwhile(
    without: VirtioFeatures
  ) throws {
    let rig = try HostedDiskRig(queueCount: 2)
    rig.function.use(try rig.ranges())
    try rig.driver.negotiate(without: without)
    let queue = try rig.driver.makeQueue(0)
    // Which waits for its memory.
    _ = try rig.driver.makeQueue(1)
    rig.driver.start()
    for sector in 1...3 as ClosedRange<UInt64> { #expect(try rig.readsSector(sector, queue)) }

    #expect(rig.transport.resetQueue(0))
    rig.function.use(try rig.ranges(without: [0]))
    let fresh = try rig.driver.makeQueue(0)
    rig.function.use(try rig.ranges())

    #expect(try rig.readsSector(4, fresh))
    #expect(rig.transport.status == 15)
    #expect(rig.log.notices == [])
  }

  @Test func pendingBitsAreReadAndStayPending() throws {
    let rig = try HostedDiskRig()
    rig.function.writeConfiguration(0x8000, 0x42, width: 2)
    let queue = try rig.start(vector: 1)
    let bits = BusAccess(region: 0, offset: 0x5000, width: 4)

    #expect(try rig.readsSector(1, queue))
    #expect(waitUntil { rig.function.read(bits) == 2 })
    #expect(rig.function.read(bits) == 2)
    let event = try EventFD()
    rig.messages.setEvent(event, of: 1)

    #expect(waitUntil { event.drain() > 0 })
    #expect(rig.function.read(bits) == 0)
  }

  @Test func vectorsGoToTheEventfdsOfThePeer() throws {
    let rig = try HostedDiskRig()
    // The function's capability list has MSI-X first; the driver enables it.
    rig.function.writeConfiguration(0x8000, 0x42, width: 2)
    let queue = try rig.start(vector: 1)
    #expect(rig.messages.count == 2)

    // Nobody listens yet: it is kept.
    #expect(try rig.readsSector(1, queue))
    let event = try EventFD()
    rig.messages.setEvent(event, of: 1)
    #expect(waitUntil { event.drain() > 0 })
    #expect(try rig.readsSector(2, queue))
    #expect(waitUntil { event.drain() > 0 })
    #expect(!rig.line.isAsserted)

    // The pending bits are not made of what the peer was told.
    #expect(try rig.readsSector(3, queue))
    _ = rig.function.read(BusAccess(region: 0, offset: 0x5000, width: 4))
    #expect(waitUntil { event.drain() > 0 })
    rig.messages.removeAll()
    rig.messages.setEvent(event, of: 1)
    #expect(event.drain() == 0)
  }

  @Test func configurationIsReachedInAnyWidth() throws {
    let rig = try HostedDiskRig()
    let function = rig.function

    #expect(function.readConfiguration(0, width: 4) == 0x1042_1AF4)
    #expect(function.readConfiguration(1, width: 2) == 0x421A)
    #expect(function.readConfiguration(0, width: 8) & 0xFFFF_FFFF == 0x1042_1AF4)
    #expect(function.readConfiguration(4095, width: 2) >> 8 == 0xFF)
    function.writeConfiguration(0xC000_0000, 0x10, width: 4)
    #expect(function.access(at: 0xC000_0014, width: 1, in: .memory) == nil)
    function.writeConfiguration(6, 4, width: 2)
    #expect(
      function.access(at: 0xC000_0014, width: 1, in: .memory)
        == BusAccess(region: 0, offset: 0x14, width: 1)
    )
    #expect(function.access(at: 0xC000_0014, width: 1, in: .port) == nil)
    let size = try #require(function.bar(0)).size
    #expect(function.access(at: 0xC000_0000 + size - 4, width: 8, in: .memory) == nil)
  }

  @Test func whatIsInNoBARReadsAsOnes() throws {
    let rig = try HostedDiskRig()
    let size = try #require(rig.function.bar(0)).size

    #expect(rig.function.read(BusAccess(region: 1, offset: 0, width: 4)) == 0xFFFF_FFFF)
    #expect(rig.function.read(BusAccess(region: 0, offset: size - 1, width: 2)) == 0xFFFF)
    #expect(rig.function.read(BusAccess(region: 0, offset: .max, width: 8)) == .max)
    rig.function.write(1, BusAccess(region: 9, offset: .max - 3, width: 4))
    #expect(rig.function.bar(1) == nil)
  }

  @Test func aPeerThatGoesLeavesAFunctionAsAtPowerOn() throws {
    let rig = try HostedDiskRig()
    rig.function.writeConfiguration(6, 4, width: 2)
    let queue = try rig.start()
    #expect(try rig.readsSector(1, queue))

    rig.function.release()

    #expect(rig.function.readConfiguration(4, width: 2) == 0)
    #expect(rig.transport.status == 0)
    #expect(!rig.line.isAsserted)
    let again = try rig.start()
    #expect(try rig.readsSector(2, again))
  }
}
