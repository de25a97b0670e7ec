import GuestMemory
import HostOS
import Testing
import TestSupport
import Virtio

/// A disk behind a front end that keeps the rules.
@Suite struct VhostUserDiskTests {
  @Test(
    arguments: [
      [], .packedRing, .eventIndex, [.packedRing, .eventIndex], .indirectDescriptors,
    ] as [VirtioFeatures]
  )
  func aDiskIsReadAndWritten(without: VirtioFeatures) throws {
    let rig = try VhostUserDiskRig()
    try rig.start(without: without)

    #expect(try rig.readsSector(3))
    let data = GuestAddress(VhostUserDiskRig.data)
    try rig.rig.memory.write([UInt8](repeating: 0xA5, count: 1024), at: data)
    #expect(try rig.request(1, sector: 7, [.readable(data.rawValue, 1024)]) == 0)
    #expect(try rig.request(4) == 0)

    let bytes = try rig.folder.bytes(at: rig.path)
    #expect(bytes[(7 * 512)..<(9 * 512)].allSatisfy { $0 == 0xA5 })
    #expect(rig.rig.log.notices == [])
  }

  @Test(arguments: [false, true], [0, 1 << 21] as [UInt64])
  func memoryComesInATableOrOneByOneAndRingsByEitherAddress(
    oneByOne: Bool,
    withoutProtocol: UInt64
  ) throws {
    let rig = try VhostUserDiskRig()
    try rig.start(withoutProtocol: withoutProtocol, oneByOne: oneByOne)

    #expect(try rig.readsSector(9))
    // A buffer in the second region.
    #expect(try rig.request(0, sector: 1, [.writable(VhostUserRig.high + 0x100, 512)]) == 0)
    #expect(
      try rig.rig.memory.read(at: GuestAddress(VhostUserRig.high + 0x100), count: 2) == [1, 2]
    )
  }

  @Test func usedBuffersAreToldThroughTheCallEventfd() throws {
    let rig = try VhostUserDiskRig()
    try rig.start(without: .eventIndex)
    rig.frontEnd.calls[0].drain()

    #expect(try rig.request(4) == 0)

    #expect(waitUntil { rig.frontEnd.calls[0].drain() > 0 })
  }

  @Test(arguments: [[], .packedRing] as [VirtioFeatures])
  func aRingThatWasStoppedGoesOnWhereItStood(without: VirtioFeatures) throws {
    let rig = try VhostUserDiskRig()
    try rig.start(without: without)
    let queue = try #require(rig.queue)
    for sector in 0..<5 { #expect(try rig.readsSector(UInt64(sector))) }

    let base = try rig.frontEnd.stopRing(0)
    #expect(base == (queue.isPacked ? 0x800F_800F : 5))
    // It is made available while nobody serves the ring, and must not be touched.
    try rig.offer(4, sector: 0, [], queue)
    rig.frontEnd.kicks[0].signal()
    #expect(try rig.frontEnd.ask(17) == 1)
    #expect(try queue.takeUsed() == nil)
    try rig.frontEnd.startRing(0, queue, base: base)

    #expect(try waitUntil { try queue.takeUsed() != nil })
    #expect(try rig.readsSector(6))
  }

  @Test func aRingIsServedOnlyWhileItIsEnabled() throws {
    let rig = try VhostUserDiskRig()
    try rig.start()
    let queue = try #require(rig.queue)
    #expect(try rig.readsSector(1))

    try rig.frontEnd.tell(18, VhostUserFrontEnd.words(UInt32(0), UInt32(0)))
    try rig.offer(4, sector: 0, [], queue)
    rig.frontEnd.kicks[0].signal()
    #expect(try rig.frontEnd.ask(17) == 1)
    #expect(try queue.takeUsed() == nil)
    try rig.frontEnd.tell(18, VhostUserFrontEnd.words(UInt32(0), UInt32(1)))

    #expect(try waitUntil { try queue.takeUsed() != nil })
  }

  @Test func withoutExtensionsRingsAreEnabledFromTheStart() throws {
    let rig = try VhostUserDiskRig()
    let frontEnd = rig.frontEnd
    let offered = VirtioFeatures(rawValue: try frontEnd.ask(1))
    rig.features = offered.subtracting([VirtioFeatures(bit: 26), VirtioFeatures(bit: 30)])
    // No request is answered that has no answer of its own.
    try frontEnd.send(3)
    try frontEnd.send(2, VhostUserFrontEnd.words(rig.features.rawValue), flags: 9)
    let regions = rig.rig.memory.regions
    try frontEnd.send(
      5,
      VhostUserFrontEnd.words(UInt32(regions.count), UInt32(0))
        + regions.flatMap(frontEnd.description),
      descriptors: regions.map { _ in frontEnd.memoryNumber }
    )
    let queue = try rig.makeQueue()
    rig.queue = queue
    try frontEnd.send(8, VhostUserFrontEnd.words(UInt32(0), UInt32(queue.size)))
    try frontEnd.send(10, VhostUserFrontEnd.words(UInt32(0), UInt32(0x8000_8000)))
    try frontEnd.send(9, frontEnd.placement(0, queue))
    try frontEnd.send(
      13,
      VhostUserFrontEnd.words(UInt64(0)),
      descriptors: [frontEnd.calls[0].rawValue]
    )
    try frontEnd.send(
      12,
      VhostUserFrontEnd.words(UInt64(0)),
      descriptors: [frontEnd.kicks[0].rawValue]
    )

    #expect(try rig.readsSector(2))
  }

  @Test func aRingWithoutKicksIsPolled() throws {
    let rig = try VhostUserDiskRig()
    try rig.start()
    let queue = try #require(rig.queue)
    try rig.frontEnd.tell(12, VhostUserFrontEnd.words(UInt64(0x100)))
    try rig.frontEnd.tell(13, VhostUserFrontEnd.words(UInt64(0x100)))

    try rig.offer(4, sector: 0, [], queue)

    #expect(try waitUntil { try queue.takeUsed() != nil })
    #expect(try rig.rig.memory.load8(at: GuestAddress(VhostUserDiskRig.status)) == 0)
  }

  @Test func severalRingsAreServedAndStoppedOneByOne() throws {
    let rig = try VhostUserDiskRig(queueCount: 3)
    try rig.start()
    #expect(try rig.frontEnd.ask(17) == 3)
    let second = try rig.makeQueue(1)
    try rig.frontEnd.startRing(2, second)

    #expect(try rig.readsSector(1))
    #expect(try rig.request(4, on: 2, second) == 0)
    _ = try rig.frontEnd.stopRing(0)
    #expect(try rig.request(4, on: 2, second) == 0)
    #expect(try rig.frontEnd.stopRing(2) == 0x8004_8004)
    #expect(try rig.frontEnd.stopRing(1) == 0)
  }

  @Test func memoryComesAndGoesWhileARingIsServed() throws {
    let rig = try VhostUserDiskRig()
    rig.features = try rig.frontEnd.negotiate()
    let frontEnd = rig.frontEnd
    let regions = rig.rig.memory.regions
    #expect(try frontEnd.ask(36) >= 32)
    func region(_ index: Int) -> [UInt8] {
      VhostUserFrontEnd.words(UInt64(0)) + frontEnd.description(of: regions[index])
    }
    try frontEnd.tell(37, region(0), descriptors: [frontEnd.memoryNumber])
    let queue = try rig.makeQueue()
    rig.queue = queue
    try frontEnd.startRing(0, queue)
    #expect(try rig.readsSector(1))

    try frontEnd.tell(37, region(1), descriptors: [frontEnd.memoryNumber])
    #expect(try rig.request(0, sector: 1, [.writable(VhostUserRig.high, 512)]) == 0)
    try frontEnd.tell(38, region(1))
    #expect(try rig.readsSector(2))

    // A region that is added twice goes when it is removed twice.
    try frontEnd.tell(37, region(1), descriptors: [frontEnd.memoryNumber])
    try frontEnd.tell(37, region(1), descriptors: [frontEnd.memoryNumber])
    try frontEnd.tell(38, region(1))
    #expect(try rig.request(0, sector: 1, [.writable(VhostUserRig.high, 512)]) == 0)
    try frontEnd.tell(38, region(1))

    // Where there is no memory any more, a buffer cannot be.
    try rig.offer(0, sector: 1, [.writable(VhostUserRig.high, 512)], queue)
    frontEnd.kicks[0].signal()
    #expect(waitUntil { frontEnd.errors[0].drain() > 0 })
    #expect(rig.rig.waitForLine("buffer of 512 bytes"))
    #expect(try frontEnd.ask(40) & 64 == 64)
    // Once the ring was stopped, all can begin anew.
    _ = try frontEnd.stopRing(0)
    #expect(try frontEnd.ask(40) & 64 == 0)
    let fresh = try rig.makeQueue()
    rig.queue = fresh
    try frontEnd.startRing(0, fresh)
    #expect(try rig.readsSector(3))
  }

  @Test func theConfigurationIsReadAndWritten() throws {
    let rig = try VhostUserDiskRig()
    try rig.start()
    let frontEnd = rig.frontEnd
    func get(_ offset: UInt32, _ size: UInt32) throws -> [UInt8] {
      try frontEnd.send(
        24,
        VhostUserFrontEnd.words(offset, size, UInt32(0)) + [UInt8](repeating: 0, count: Int(size))
      )
      let payload = try frontEnd.receiveReply(24).payload
      #expect(payload.count == 12 + Int(size))
      return Array(payload.dropFirst(12))
    }
    #expect(VhostUserFrontEnd.word(try get(0, 57), at: 0, as: UInt64.self) == 64)
    #expect(try get(0, 256).dropFirst(60).allSatisfy { $0 == 0 })
    #expect(try get(32, 1) == [1])

    try frontEnd.tell(25, VhostUserFrontEnd.words(UInt32(32), UInt32(1), UInt32(0)) + [0])
    #expect(try get(32, 1) == [0])
    // What no driver may write is refused, but for a guest that migrates.
    #expect(throws: VhostUserFrontEnd.Failure.refused(1)) {
      try frontEnd.tell(25, VhostUserFrontEnd.words(UInt32(0), UInt32(1), UInt32(0)) + [9])
    }
    try frontEnd.tell(25, VhostUserFrontEnd.words(UInt32(0), UInt32(1), UInt32(1)) + [9])
    #expect(VhostUserFrontEnd.word(try get(0, 8), at: 0, as: UInt64.self) == 64)

    // Memory that changes leaves it as it is, and so does a reset.
    try frontEnd.shareMemory()
    #expect(try get(32, 1) == [0])
    try frontEnd.tell(39, VhostUserFrontEnd.words(UInt64(0)))
    #expect(try get(32, 1) == [0])
  }

  @Test func aStatusOfZeroStopsRingsAndKeepsTheirBases() throws {
    let rig = try VhostUserDiskRig()
    try rig.start(without: .packedRing)
    let frontEnd = rig.frontEnd
    try frontEnd.tell(39, VhostUserFrontEnd.words(UInt64(15)))
    #expect(try frontEnd.ask(40) == 15)
    #expect(try rig.readsSector(1))

    try frontEnd.tell(39, VhostUserFrontEnd.words(UInt64(0)))

    #expect(try frontEnd.ask(40) == 0)
    #expect(try frontEnd.stopRing(0) == 1)
  }

  @Test func aResetDisablesAllRings() throws {
    let rig = try VhostUserDiskRig()
    try rig.start(without: .packedRing)
    let frontEnd = rig.frontEnd
    let queue = try #require(rig.queue)
    #expect(try rig.readsSector(1))

    try frontEnd.tell(34)
    try rig.offer(4, sector: 0, [], queue)
    frontEnd.kicks[0].signal()
    #expect(try frontEnd.ask(17) == 1)
    #expect(try queue.takeUsed() == nil)
    try frontEnd.tell(18, VhostUserFrontEnd.words(UInt32(0), UInt32(1)))

    #expect(try waitUntil { try queue.takeUsed() != nil })
  }

  @Test func aFrontEndThatGoesLeavesNothingAndTheNextIsServed() throws {
    let rig = try VhostUserDiskRig()
    for _ in 0..<3 {
      try rig.start()
      #expect(try rig.readsSector(5))
      try rig.rig.reconnect()
    }
    try rig.start(without: .packedRing)
    #expect(try rig.readsSector(6))
    #expect(rig.rig.log.notices == [])
  }
}
