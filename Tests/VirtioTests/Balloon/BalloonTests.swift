import Glibc
import GuestMemory
import HostOS
import Synchronization
import TestSupport
import Testing
import Virtio

/// Memory that a driver gives, and what it tells (virtio 1.2, 5.5.6).
@Suite(.timeLimit(.minutes(5))) struct BalloonTests {
  /// How much memory the guest's file takes of the host.
  private func residentBytes(_ memory: GuestMemory) throws -> Int {
    let number = try #require(memory.file.borrow { $0.rawValue })
    var status = stat()
    #expect(fstat(number, &status) == 0)
    return Int(status.st_blocks) * 512
  }

  @Test(arguments: RingKind.allCases)
  func pagesThatAreGivenAreTheHosts(ring: RingKind) throws {
    let rig = try BalloonRig(ring)
    try rig.fill(0..<32)
    // The list takes memory too.
    try rig.memory.write([1], at: GuestAddress(BalloonRig.list))
    let before = try residentBytes(rig.memory)

    // Up, down, apart, and one twice.
    try rig.give([0, 1, 2, 3, 9, 8, 7, 20, 31, 20])

    #expect(try residentBytes(rig.memory) <= before - 9 * 4096)
    #expect(try rig.emptyPages(0..<32) == [0, 1, 2, 3, 7, 8, 9, 20, 31])
    #expect(rig.balloon.discardedBytes == 10 * 4096)
  }

  @Test func pagesThatAreTakenBackCanBeUsed() throws {
    let rig = try BalloonRig()
    try rig.fill(0..<4)
    try rig.give([0, 1, 2, 3])
    try rig.hand([512, 513], rig.deflate, 1)
    try rig.fill(0..<2)
    #expect(try rig.emptyPages(0..<4) == [2, 3])
  }

  @Test func longListsAreWorkedOffInTurns() throws {
    let rig = try BalloonRig()
    try rig.fill(0..<2048)
    try rig.give((0..<2048).map { $0 })
    #expect(try rig.emptyPages(0..<2048).count == 2048)
    // While a list of a gigabyte of pages is read, other queues are served, and a reset does not wait.
    try rig.inflate.add((0..<64).map { _ in .readable(0, 16 << 20) })
    try rig.driver.kick(0, rig.inflate)
    try rig.hand([512], rig.deflate, 1)
    rig.rig.transport.status = 0
    #expect(rig.rig.transport.status == 0)
  }

  @Test(arguments: [0x1000, 0x000F_FFFF, 0xFFFF_FFFF] as [UInt32])
  func pagesThatAreNoneAreRefused(page: UInt32) throws {
    let rig = try BalloonRig()
    try rig.fill(0..<2)
    try rig.hand([0x200, page, 0x201], rig.inflate, 0)
    #expect(try rig.emptyPages(0..<2) == [0, 1])
    try rig.driver.wait { rig.rig.log.lines.count == 1 }
    #expect(rig.rig.transport.status & 64 == 0)
  }

  @Test func aListThatEndsInThePageIsCutThere() throws {
    let rig = try BalloonRig()
    try rig.memory.write([0, 2, 0, 0, 1, 2, 0], at: GuestAddress(BalloonRig.list))
    try rig.fill(0..<2)
    try rig.driver.request(0, rig.inflate, [.readable(BalloonRig.list, 7), .writable(0x90000, 8)])
    #expect(try rig.emptyPages(0..<2) == [0])
  }

  @Test func theTargetIsToldWhenItChanges() throws {
    let rig = try BalloonRig(target: 1 << 20)
    let transport = rig.rig.transport
    #expect(transport.readConfiguration(offset: 0, width: 4) == 256)
    rig.balloon.setTarget(2 << 20)
    #expect(transport.readConfiguration(offset: 0, width: 4) == 512)
    #expect(rig.rig.interrupts.changes == 1)
    rig.balloon.setTarget(2 << 20)
    #expect(rig.rig.interrupts.changes == 1)
    rig.balloon.setTarget(.max)
    #expect(transport.readConfiguration(offset: 0, width: 4) == 0xFFFF_FFFF)
  }

  @Test func theDriverWritesItsTwoFieldsOnly() throws {
    let rig = try BalloonRig(target: 1 << 20)
    let controller = rig.rig.controller
    controller.writeConfiguration(0x0000_0080, offset: 4, width: 4)
    #expect(rig.balloon.actual == 0x80 * 4096)
    controller.writeConfiguration(0xAA55_FFFF_FFFF, offset: 2, width: 6)
    #expect(rig.rig.transport.readConfiguration(offset: 0, width: 4) == 256)
    #expect(rig.balloon.actual == 0xAA55_FFFF * 4096)
    controller.writeConfiguration(7, offset: 8, width: 4)
    #expect(rig.rig.transport.readConfiguration(offset: 8, width: 4) == 0)
    controller.writeConfiguration(0xAA, offset: 12, width: 1)
    #expect(rig.rig.transport.readConfiguration(offset: 12, width: 4) == 0xAA)
    rig.rig.transport.status = 0
    #expect(rig.balloon.actual == 0)
  }

  @Test(arguments: [false, true])
  func freePagesAreTheHostsWhateverTheNumberOfTheQueue(leavesOutNumbers: Bool) throws {
    let rig = try BalloonRig(leavesOutNumbers: leavesOutNumbers)
    try rig.fill(0..<16)
    try rig.driver.request(
      rig.reportingIndex,
      rig.reporting,
      [
        .writable(BalloonRig.pool, 4 * 4096),
        // What is no whole page stays.
        .writable(BalloonRig.pool + 8 * 4096 + 100, 3 * 4096),
        .writable(BalloonRig.pool + 15 * 4096, 4095), .writable(BalloonRig.pool, 0),
      ]
    )
    #expect(try rig.emptyPages(0..<16) == [0, 1, 2, 3, 9, 10])
  }

  // Linux gives up on the device otherwise.
  @Test func thirtyTwoFreeRangesAreReportedAtOnceWhateverTheNumberOfTheQueue() throws {
    let rig = try BalloonRig()
    for index in [3, 4] as [UInt16] { #expect(rig.rig.transport.maximumSize(of: index) >= 32) }
  }

  @Test func freePagesAreTheHostsWithoutAQueueForStatistics() throws {
    let balloon = try Balloon()
    let rig = try DeviceRig(balloon, memoryCount: 16 << 20)
    try rig.driver.negotiate()
    let reporting = try rig.driver.makeQueue(4)
    rig.driver.start()
    try rig.driver.request(4, reporting, [.writable(BalloonRig.pool, 4 * 4096)])
    #expect(balloon.discardedBytes == 4 * 4096)
    #expect(balloon.statistics.count == 0)
  }

  @Test func aTurnGivesBackNoMoreThanItsShare() throws {
    let memory = try GuestMemory(count: 384 << 20)
    let driver = try MockQueue(in: memory, at: GuestAddress(0x1000), size: 8)
    let configuration = VirtqueueConfiguration(
      index: 4,
      size: 8,
      descriptorTable: driver.descriptorTable,
      availableRing: driver.availableRing,
      usedRing: driver.usedRing,
      features: .version1,
      kick: try EventFD()
    )
    let balloon = try Balloon()
    let service = balloon.makeService(
      VirtioActivation(
        features: balloon.features,
        memory: memory,
        queues: [configuration],
        signals: VirtioSignals(
          "balloon",
          interrupts: RecordingInterrupts(),
          logger: RecordedLog().makeLogger()
        )
      )
    )
    var queue = try Virtqueue(configuration, in: memory)
    let size: UInt64 = (64 << 20) - 4096
    try driver.add((1...5).map { .writable(UInt64($0) << 26, UInt32(size)) })
    var before: UInt64 = 0
    for _ in 0..<100 where before < 5 * size {
      _ = try service.serve(&queue)
      #expect(balloon.discardedBytes > before && balloon.discardedBytes <= before + (64 << 20))
      before = balloon.discardedBytes
    }
    #expect(before == 5 * size)
  }

  @Test func freePagesThatAreFilledWithSomethingStay() throws {
    let rig = try BalloonRig()
    rig.rig.controller.writeConfiguration(0xAAAA_AAAA, offset: 12, width: 4)
    try rig.fill(0..<4)
    let buffers: [MockBuffer] = [.writable(BalloonRig.pool, 4 * 4096)]
    try rig.driver.request(4, rig.reporting, buffers)
    #expect(try rig.emptyPages(0..<4) == [])
    rig.rig.controller.writeConfiguration(0, offset: 12, width: 4)
    try rig.driver.request(4, rig.reporting, buffers)
    #expect(try rig.emptyPages(0..<4) == [0, 1, 2, 3])
  }

  @Test func manyFreeRangesAreWorkedOffInTurns() throws {
    let rig = try BalloonRig()
    try rig.fill(0..<30)
    for index in 0..<30 {
      try rig.reporting.add([.writable(BalloonRig.pool + 4096 * UInt64(index), 4096)])
    }
    try rig.driver.kick(4, rig.reporting)
    for _ in 0..<30 { _ = try rig.driver.waitForUsed(rig.reporting) }
    #expect(try rig.emptyPages(0..<30).count == 30)
  }

  @Test(arguments: RingKind.allCases)
  func statisticsComeWhenTheyAreAskedFor(ring: RingKind) throws {
    let rig = try BalloonRig(ring)
    func tell(_ free: UInt64) throws {
      // Free bytes, a number that the driver does not know, and a tag that nobody does.
      let entries: [(UInt16, UInt64)] = [(4, free), (5, 1 << 30), (0, .max), (999, 1)]
      let bytes = entries.flatMap { tag, value in
        [UInt8(tag & 0xFF), UInt8(tag >> 8)]
          + (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
      }
      try rig.memory.write(bytes, at: GuestAddress(BalloonRig.list))
      try rig.statistics.add([.readable(BalloonRig.list, UInt32(bytes.count))])
      try rig.driver.kick(2, rig.statistics)
    }
    try tell(1000)
    try rig.driver.wait { rig.balloon.statistics.count == 1 }
    #expect(rig.balloon.statistics.latest?[.free] == 1000)
    #expect(rig.balloon.statistics.latest?[.total] == 1 << 30)
    #expect(rig.balloon.statistics.latest?[.swappedIn] == nil)
    #expect(try rig.statistics.takeUsed() == nil)

    rig.balloon.requestStatistics()

    _ = try rig.driver.waitForUsed(rig.statistics)
    try tell(2000)
    try rig.driver.wait { rig.balloon.statistics.count == 2 }
    #expect(rig.balloon.statistics.latest?[.free] == 2000)
  }

  @Test func freshStatisticsAreWaitedFor() throws {
    let rig = try BalloonRig()
    func tell(_ free: UInt8) throws {
      try rig.memory.write([4, 0, free, 0, 0, 0, 0, 0, 0, 0], at: GuestAddress(BalloonRig.list))
      try rig.statistics.add([.readable(BalloonRig.list, 10)])
      try rig.driver.kick(2, rig.statistics)
    }
    try tell(1)
    try rig.driver.wait { rig.balloon.statistics.count == 1 }
    let balloon = rig.balloon
    let fresh = Mutex<BalloonStatistics?>(nil)
    let thread = try TestThread {
      let statistics = balloon.freshStatistics(within: 10_000)
      fresh.withLock { $0 = statistics }
    }
    _ = try rig.driver.waitForUsed(rig.statistics)
    try tell(2)
    thread.join()
    let statistics = try #require(fresh.withLock { $0 })
    #expect(statistics[.free] == 2 && statistics[.total] == nil && !statistics.isEmpty)

    // A driver that does not answer is not waited for any longer.
    #expect(rig.balloon.freshStatistics(within: 1)?[.free] == 2)
    #expect(BalloonStatistics().isEmpty)
  }

  @Test func statisticsThatWereAskedForBeforeTheDriverToldAnyAreTheFirst() throws {
    let rig = try BalloonRig()
    rig.balloon.requestStatistics()
    try rig.hand([1], rig.deflate, 1)
    try rig.statistics.add([.readable(BalloonRig.list, 10)])
    try rig.driver.kick(2, rig.statistics)
    try rig.driver.wait { rig.balloon.statistics.count == 1 }
    try rig.hand([0x200], rig.deflate, 1)
    #expect(try rig.statistics.takeUsed() == nil)
    rig.balloon.requestStatistics()
    _ = try rig.driver.waitForUsed(rig.statistics)
  }

  @Test func withoutAQueueForThemNobodyWaitsForStatistics() throws {
    let rig = try BalloonRig(without: BalloonRig.feature.statistics)
    for _ in 0..<3 {
      rig.balloon.requestStatistics()
      try rig.hand([0x200], rig.deflate, 1)
    }
    #expect(rig.balloon.statistics.count == 0)
  }

  @Test(arguments: RingKind.allCases)
  func aBufferThatIsKeptComesBackWithTheResetOfItsQueue(ring: RingKind) throws {
    let rig = try BalloonRig(ring)
    try rig.statistics.add([.readable(BalloonRig.list, 10)])
    try rig.driver.kick(2, rig.statistics)
    try rig.driver.wait { rig.balloon.statistics.count == 1 }
    #expect(rig.rig.transport.resetQueue(2))
    #expect(try rig.statistics.takeUsed() == nil)
    rig.balloon.requestStatistics()
    try rig.hand([0x200], rig.deflate, 1)
    let queue = try rig.driver.makeQueue(2, size: 4)
    try queue.add([.readable(BalloonRig.list, 10)])
    try rig.driver.kick(2, queue)
    try rig.driver.wait { rig.balloon.statistics.count == 2 }
    rig.balloon.requestStatistics()
    _ = try rig.driver.waitForUsed(queue)
  }

  @Test func whatIsNotWantedIsNotOffered() throws {
    let options = Balloon.Options(deflatesOnOOM: false, reportsFreePages: false)
    #expect(try Balloon(options: options).features == BalloonRig.feature.statistics)
    #expect(try Balloon().features.rawValue == 0b110110)
  }
}
