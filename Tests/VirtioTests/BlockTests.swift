import Glibc
import GuestMemory
import TestSupport
import Testing
import Virtio

@Suite(.timeLimit(.minutes(5))) struct BlockTests {
  @Test func theConfigurationDescribesTheDisk() throws {
    let rig = try BlockRig()
    #expect(rig.rig.transport.readConfiguration(offset: 0, width: 8) == 64)
    #expect(rig.rig.transport.readConfiguration(offset: 12, width: 4) == 254)
    #expect(rig.rig.transport.readConfiguration(offset: 20, width: 4) == 512)
  }

  @Test(
    arguments: [(false, 0b0110_1110_0100_0100), (true, 0b0000_1110_0110_0100)] as [(Bool, UInt64)]
  )
  func theFeaturesSayWhetherItIsReadOnly(readOnly: Bool, bits: UInt64) throws {
    let rig = try BlockRig(readOnly: readOnly)
    #expect(rig.rig.transport.deviceFeatures & 0xFF_FFFF == bits)
  }

  @Test func sectorsAreRead() throws {
    let rig = try BlockRig()
    let answer = try rig.request(0, sector: 5, [.writable(BlockRig.data, 1024)])
    #expect(answer.status == 0)
    #expect(answer.written == 1025)
    let bytes = try rig.rig.memory.read(at: GuestAddress(BlockRig.data), count: 1024)
    #expect(bytes == Array(BlockRig.content[(5 * 512)..<(7 * 512)]))
  }

  @Test func theLayoutOfARequestIsTheDriversAffair() throws {
    let rig = try BlockRig()
    try rig.prepare(0, sector: 1)
    // Header in three pieces; data and status share a buffer (2.7.4.1).
    try rig.rig.driver.request(
      0,
      rig.queue,
      [
        .readable(BlockRig.header, 3), .readable(BlockRig.header + 3, 12),
        .readable(BlockRig.header + 15, 1), .writable(BlockRig.data, 100),
        .writable(BlockRig.data + 100, 413),
      ]
    )
    let bytes = try rig.rig.memory.read(at: GuestAddress(BlockRig.data), count: 513)
    #expect(bytes == BlockRig.content[512..<1024] + [0])
  }

  @Test(arguments: [[], .blockFlush] as [VirtioFeatures])
  func sectorsAreWritten(without: VirtioFeatures) throws {
    let rig = try BlockRig(without: without)
    let bytes = [UInt8](repeating: 0xA5, count: 512)
    try rig.rig.memory.write(bytes, at: GuestAddress(BlockRig.data))
    let answer = try rig.request(
      1,
      sector: 63,
      [.readable(BlockRig.data, 200), .readable(BlockRig.data + 200, 312)]
    )
    #expect(answer.status == 0)
    #expect(answer.written == 1)
    #expect(try rig.request(4).status == 0)
    #expect(try rig.folder.bytes(at: rig.path) == BlockRig.content.dropLast(512) + bytes)
  }

  @Test func theDiskIsIdentified() throws {
    let rig = try BlockRig()
    let answer = try rig.request(8, [.writable(BlockRig.data, 20)])
    #expect(answer.status == 0)
    #expect(answer.written == 21)
    let bytes = try rig.rig.memory.read(at: GuestAddress(BlockRig.data), count: 20)
    #expect(bytes == Array("serial-7".utf8) + [UInt8](repeating: 0, count: 12))
  }

  @Test(arguments: [2, 3, 11, 13, 0xFFFF_FFFF] as [UInt32])
  func anUnknownRequestIsUnsupported(type: UInt32) throws {
    let rig = try BlockRig(without: [.blockDiscard, .blockWriteZeroes])
    #expect(try rig.request(type, [.writable(BlockRig.data, 512)]).status == 2)
    #expect(try rig.request(4).status == 0)
  }

  // (sector, bytes)
  @Test(
    arguments: [
      (64, 512), (63, 1024), (UInt64.max, 512), (UInt64.max / 512, 512), (1 << 55, 512), (0, 511),
      (0, 513), (65, 0),
    ] as [(UInt64, UInt32)]
  )
  func whatIsNotOnTheDiskIsAnError(sector: UInt64, count: UInt32) throws {
    let rig = try BlockRig()
    #expect(try rig.request(0, sector: sector, [.writable(BlockRig.data, count)]).status == 1)
    #expect(try rig.request(1, sector: sector, [.readable(BlockRig.data, count)]).status == 1)
    #expect(try rig.folder.bytes(at: rig.path) == BlockRig.content)
    #expect(rig.rig.log.lines.count == 2)
  }

  @Test func aReadOnlyDiskIsNotWritten() throws {
    let rig = try BlockRig(readOnly: true)
    #expect(try rig.request(1, sector: 0, [.readable(BlockRig.data, 512)]).status == 1)
    #expect(try rig.folder.bytes(at: rig.path) == BlockRig.content)
    #expect(try rig.request(0, sector: 0, [.writable(BlockRig.data, 512)]).status == 0)
  }

  @Test func aDiskThatBecameShorterIsAnErrorThatNamesTheFile() throws {
    let rig = try BlockRig()
    #expect(truncate(rig.path, 512 * 10 + 100) == 0)
    let answer = try rig.request(0, sector: 9, [.writable(BlockRig.data, 1024)])
    #expect(answer.status == 1)
    #expect(
      rig.rig.log.lines == [
        "error: disk0: \(rig.path): read of 1024 bytes at 4608: the file ends after 612"
      ]
    )
    #expect(try rig.request(0, sector: 8, [.writable(BlockRig.data, 512)]).status == 0)
  }

  @Test func aHeaderThatIsCutShortIsAnError() throws {
    let rig = try BlockRig()
    try rig.prepare(0, sector: 0)
    let buffers: [MockBuffer] = [.readable(BlockRig.header, 15), .writable(BlockRig.status, 1)]
    #expect(try rig.rig.driver.request(0, rig.queue, buffers) == 1)
    #expect(try rig.rig.memory.load8(at: GuestAddress(BlockRig.status)) == 1)
  }

  @Test func aRequestWithoutRoomForItsStatusNeedsAReset() throws {
    let rig = try BlockRig()
    try rig.prepare(4, sector: 0)
    let head = try rig.queue.add([.readable(BlockRig.header, 16)])
    rig.rig.transport.notify(0)
    // The driver is told last, after the status and the log.
    try rig.rig.driver.wait { rig.rig.interrupts.changes == 1 }
    #expect(rig.rig.transport.status & 64 != 0)
    #expect(
      rig.rig.log.lines == [
        "warning: disk0: needs a reset: queue 0: "
          + "chain \(head) has no room for the status of a block request"
      ]
    )
  }

  @Test func requestsByTableAndInBulkAreAnswered() throws {
    let rig = try BlockRig()
    try rig.prepare(0, sector: 0)
    for slot in 0..<64 as Range<UInt64> {
      try rig.queue.add(
        [
          .readable(BlockRig.header, 16), .writable(BlockRig.data + slot * 512, 512),
          .writable(BlockRig.status, 1),
        ],
        table: GuestAddress(0x200000 + slot * 48)
      )
    }
    try rig.rig.driver.kick(0, rig.queue)
    let written = try (0..<64).map { _ in try rig.rig.driver.waitForUsed(rig.queue).written }
    #expect(written == [UInt32](repeating: 513, count: 64))
  }

  @Test func aDiskWorksAgainAfterAReset() throws {
    let rig = try BlockRig()
    rig.rig.transport.status = 0
    try rig.rig.driver.negotiate()
    let queue = try rig.rig.driver.makeQueue(0)
    rig.rig.driver.start()
    try rig.prepare(4, sector: 0)
    let buffers: [MockBuffer] = [.readable(BlockRig.header, 16), .writable(BlockRig.status, 1)]
    #expect(try rig.rig.driver.request(0, queue, buffers) == 1)
  }
}
