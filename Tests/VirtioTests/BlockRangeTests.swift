import Glibc
import GuestMemory
import HostOS
import TestSupport
import Testing
import Virtio

/// Sectors that are given up or zeroed, the write cache, and several queues.
@Suite(.timeLimit(.minutes(5))) struct BlockRangeTests {
  /// Puts ranges where a request's data is.
  private func ranges(
    _ rig: BlockRig,
    _ ranges: [(sector: UInt64, count: UInt32, flags: UInt32)]
  ) throws -> [MockBuffer] {
    for (index, range) in ranges.enumerated() {
      let address = GuestAddress(BlockRig.data + UInt64(16 * index))
      try rig.rig.memory.store64(range.sector, at: address)
      try rig.rig.memory.store32(range.count, at: address &+ 8)
      try rig.rig.memory.store32(range.flags, at: address &+ 12)
    }
    return [.readable(BlockRig.data, UInt32(16 * ranges.count))]
  }

  private func sectors(_ rig: BlockRig, _ range: Range<Int>) throws -> [UInt8] {
    Array(try rig.folder.bytes(at: rig.path)[(range.lowerBound * 512)..<(range.upperBound * 512)])
  }

  @Test func theConfigurationTellsTheLimits() throws {
    let rig = try BlockRig()
    func field(_ offset: UInt64, _ width: Int) -> UInt64 {
      rig.rig.transport.readConfiguration(offset: offset, width: width)
    }
    #expect(field(36, 4) == 1 << 21)
    #expect(field(40, 4) == 16)
    #expect(field(48, 4) == 1 << 17)
    #expect(field(52, 4) == 1)
    #expect(field(56, 1) == 1)
    #expect(field(34, 2) == 1)
    #expect(field(26, 2) == 1 << field(24, 1))
  }

  @Test(arguments: [0, 1] as [UInt32])
  func zeroedSectorsReadAsZeroesAndTheOthersStay(flags: UInt32) throws {
    let rig = try BlockRig()
    #expect(try rig.request(13, try ranges(rig, [(3, 9, flags)])).status == 0)
    #expect(try sectors(rig, 3..<12) == [UInt8](repeating: 0, count: 9 * 512))
    #expect(try sectors(rig, 0..<3) == Array(BlockRig.content[..<(3 * 512)]))
    #expect(try sectors(rig, 12..<64) == Array(BlockRig.content[(12 * 512)...]))
  }

  @Test func discardedSectorsAreGoneAndTheOthersStay() throws {
    let rig = try BlockRig()
    let list = try ranges(rig, [(8, 8, 0), (32, 16, 0), (5, 0, 0)])
    #expect(try rig.request(11, list).status == 0)
    #expect(try sectors(rig, 16..<32) == Array(BlockRig.content[(16 * 512)..<(32 * 512)]))
    #expect(try sectors(rig, 48..<64) == Array(BlockRig.content[(48 * 512)...]))
    #expect(try rig.folder.bytes(at: rig.path).count == BlockRig.content.count)
  }

  @Test(
    arguments: [
      (11, 0, 8, 1, 2), (11, 0, 8, 2, 2), (13, 0, 8, 2, 2), (11, 60, 5, 0, 1), (13, 60, 5, 0, 1),
      (13, .max, 1, 0, 1), (11, 0, (1 << 21) + 1, 0, 1), (13, 0, (1 << 17) + 1, 0, 1),
      (13, 0, .max, 0, 1),
    ] as [(UInt32, UInt64, UInt32, UInt32, UInt8)]
  )
  func aRangeThatIsNotOfferedIsRefusedAndNothingChanges(
    type: UInt32,
    sector: UInt64,
    count: UInt32,
    flags: UInt32,
    status: UInt8
  ) throws {
    let rig = try BlockRig()
    #expect(try rig.request(type, try ranges(rig, [(sector, count, flags)])).status == status)
    #expect(try rig.folder.bytes(at: rig.path) == BlockRig.content)
  }

  @Test(
    arguments: [(11, 0), (11, 15), (11, 17), (11, 17 * 16), (13, 32), (13, 8)] as [(UInt32, UInt32)]
  )
  func aListThatIsNoListIsAnError(type: UInt32, count: UInt32) throws {
    let rig = try BlockRig()
    #expect(try rig.request(type, [.readable(BlockRig.data, count)]).status == 1)
    #expect(try rig.folder.bytes(at: rig.path) == BlockRig.content)
    #expect(try rig.request(4).status == 0)
  }

  @Test func aReadOnlyDiskOffersNeither() throws {
    let rig = try BlockRig(readOnly: true)
    #expect(try rig.request(11, try ranges(rig, [(0, 8, 0)])).status == 2)
    #expect(try rig.request(13, try ranges(rig, [(0, 8, 0)])).status == 2)
    #expect(try rig.folder.bytes(at: rig.path) == BlockRig.content)
  }

  @Test func theWriteCacheIsSwitchedAndOnAfterAReset() throws {
    let rig = try BlockRig()
    let controller = rig.rig.controller
    func isOn() -> UInt64 { controller.readConfiguration(offset: 32, width: 1) }
    #expect(isOn() == 1)
    controller.writeConfiguration(0, offset: 32, width: 1)
    #expect(isOn() == 0)
    #expect(try rig.request(1, sector: 0, [.readable(BlockRig.data, 512)]).status == 0)
    // Nothing else can be written, and a wider write switches it too.
    controller.writeConfiguration(.max, offset: 0, width: 8)
    #expect(controller.readConfiguration(offset: 0, width: 8) == 64)
    controller.writeConfiguration(1 << 16, offset: 30, width: 4)
    #expect(isOn() == 1)
    controller.writeConfiguration(0, offset: 32, width: 1)
    rig.rig.transport.status = 0
    #expect(isOn() == 1)
  }

  @Test func everyQueueIsServed() throws {
    let folder = try TemporaryFolder()
    let path = try folder.file("disk", BlockRig.content)
    let rig = try DeviceRig(
      Block(try DiskImage(opening: path), name: "disk0", options: Block.Options(queueCount: 4))
    )
    #expect(rig.transport.deviceFeatures >> 12 & 1 == 1)
    #expect(rig.transport.readConfiguration(offset: 34, width: 2) == 4)
    try rig.driver.negotiate()
    let queues = try (0..<4).map { try rig.driver.makeQueue($0) }
    rig.driver.start()
    for (index, queue) in queues.enumerated() {
      let header = BlockRig.header + UInt64(index) * 0x1000
      try rig.memory.store32(0, at: GuestAddress(header))
      try rig.memory.store64(UInt64(index), at: GuestAddress(header + 8))
      let data = BlockRig.data + UInt64(index) * 512
      _ = try rig.driver.request(
        UInt16(index),
        queue,
        [.readable(header, 16), .writable(data, 512), .writable(header + 16, 1)]
      )
      #expect(try rig.memory.load8(at: GuestAddress(header + 16)) == 0)
      let bytes = try rig.memory.read(at: GuestAddress(data), count: 512)
      #expect(bytes == Array(BlockRig.content[(index * 512)..<((index + 1) * 512)]))
    }
  }
}
