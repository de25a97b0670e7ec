import GuestMemory
import HostOS
import Testing
import TestSupport
import Virtio

/// What is noted of the device's writes while a guest migrates.
@Suite struct VhostUserLogTests {
  typealias FrontEnd = VhostUserFrontEnd

  /// The pages that are noted, after which none is.
  private func takePages(_ log: MemoryFile) throws -> Set<UInt64> {
    let bytes = try log.bytes(at: 0, count: 0x4000)
    try log.write([UInt8](repeating: 0, count: 0x4000), at: 0)
    var pages: Set<UInt64> = []
    for (index, byte) in bytes.enumerated() where byte != 0 {
      for bit in 0..<8 where byte >> bit & 1 == 1 { pages.insert(UInt64(index * 8 + bit)) }
    }
    return pages
  }

  private func start(
    _ rig: VhostUserDiskRig,
    _ log: MemoryFile,
    without: VirtioFeatures,
    ringLog: UInt64?
  ) throws -> MockQueue {
    let front = rig.frontEnd
    rig.features = try front.negotiate(without: without, logsWrites: true)
    try front.shareMemory()
    // Logged from the middle of the file on, to see that the offset counts.
    try front.send(
      6,
      FrontEnd.words(UInt64(0x4000), UInt64(0)),
      descriptors: [log.descriptor.rawValue]
    )
    #expect(FrontEnd.word(try front.receiveReply(6).payload, at: 0, as: UInt64.self) == 0)
    let queue = try rig.makeQueue()
    rig.queue = queue
    try front.startRing(0, queue, flags: ringLog == nil ? 0 : 1, log: ringLog)
    return queue
  }

  @Test(arguments: [[], .packedRing] as [VirtioFeatures])
  func dataAndRingsAreNotedWhereTheyAre(without: VirtioFeatures) throws {
    let rig = try VhostUserDiskRig()
    let log = try MemoryFile(count: 0x4000)
    let queue = try start(rig, log, without: without, ringLog: nil)
    _ = try takePages(log)

    #expect(try rig.readsSector(1))

    let ring = queue.usedRing.rawValue / 4096
    let table = queue.descriptorTable.rawValue / 4096
    let pages = try takePages(log)
    #expect(pages.contains(VhostUserDiskRig.data / 4096))
    #expect(pages.contains(VhostUserDiskRig.status / 4096))
    #expect(pages.contains(queue.isPacked ? table : ring))
    #expect(
      pages.subtracting([VhostUserDiskRig.data / 4096, VhostUserDiskRig.status / 4096, ring, table])
        == []
    )
  }

  @Test func aRingIsNotedWhereTheFrontEndWantsIt() throws {
    let rig = try VhostUserDiskRig()
    let log = try MemoryFile(count: 0x4000)
    _ = try start(rig, log, without: .packedRing, ringLog: 0x1FF0_0000)
    _ = try takePages(log)

    #expect(try rig.request(4) == 0)

    #expect(try takePages(log).contains(0x1FF00))
  }

  @Test func writesAreNotedOnlyWhileThatIsAskedFor() throws {
    let rig = try VhostUserDiskRig()
    let log = try MemoryFile(count: 0x4000)
    _ = try start(rig, log, without: [], ringLog: nil)
    let front = rig.frontEnd
    let logged = rig.features.union(VirtioFeatures(bit: 26))

    try front.tell(2, FrontEnd.words(logged.subtracting(VirtioFeatures(bit: 26)).rawValue))
    _ = try takePages(log)
    #expect(try rig.readsSector(1))
    #expect(try takePages(log) == [])

    try front.tell(2, FrontEnd.words(logged.rawValue))
    #expect(try rig.readsSector(2))
    #expect(try takePages(log).contains(VhostUserDiskRig.data / 4096))
  }

  @Test func theLogsEventfdSaysThatThereIsSomething() throws {
    let rig = try VhostUserDiskRig()
    let log = try MemoryFile(count: 0x4000)
    _ = try start(rig, log, without: .eventIndex, ringLog: nil)
    let event = try EventFD()
    try rig.frontEnd.tell(7, descriptors: [event.rawValue])
    event.drain()

    #expect(try rig.readsSector(1))

    #expect(waitUntil { event.drain() > 0 })
  }

  @Test func aRingThatTheLogHasNoBitForIsNotServed() throws {
    let rig = try VhostUserDiskRig()
    let log = try MemoryFile(count: 0x4000)
    #expect(throws: FrontEnd.Failure.refused(1)) {
      try start(rig, log, without: .packedRing, ringLog: 0x2000_0000)
    }
    #expect(rig.rig.waitForLine("the log has no bit for ring 0"))
  }
}
