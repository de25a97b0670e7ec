import Glibc
import GuestMemory
import TestSupport
import Testing
import Virtio

/// Reads that are long enough for several threads to copy at once, or for a mapping to be read instead.
@Suite(.timeLimit(.minutes(5))) struct LongReadTests {
  private static let count: UInt32 = 128 << 10
  private static let size = 4 << 20
  private static let content = (0..<size).map { UInt8(truncatingIfNeeded: $0 >> 9 &* 31 &+ $0) }

  private static func slot(_ index: UInt64) -> UInt64 { 0x200000 + index * 0x30000 }

  /// A disk with a slot for each of 40 reads.
  private struct Rig {
    let folder: TemporaryFolder
    let path: String
    let block: Block
    let rig: DeviceRig
    let queue: MockQueue

    init(_ place: DiskPlace, _ content: [UInt8] = content, owner: uid_t? = nil) throws {
      folder = try place.makeFolder()
      path = try folder.file("disk", content)
      // Only root can give a file away.
      if let owner { _ = chown(path, owner, .max) }
      block = Block(try DiskImage(opening: path, readOnly: false), name: "disk0")
      rig = try DeviceRig(block, memoryCount: 16 << 20)
      try rig.driver.negotiate()
      queue = try rig.driver.makeQueue(0)
      rig.driver.start()
    }

    /// Makes a read into slot `index`, in two buffers that share a page.
    func offer(_ index: UInt64, sector: UInt64, _ other: MockQueue? = nil) throws {
      let slot = LongReadTests.slot(index)
      try rig.memory.store32(0, at: GuestAddress(slot))
      try rig.memory.store64(sector, at: GuestAddress(slot + 8))
      try rig.memory.store8(0xFF, at: GuestAddress(slot + 16))
      try (other ?? queue).add([
        .readable(slot, 16), .writable(slot + 0x1000, 1000),
        .writable(slot + 0x1000 + 1000, LongReadTests.count - 1000), .writable(slot + 16, 1),
      ])
    }

    /// Reads into slot 0, and returns the status and the bytes.
    func read(sector: UInt64) throws -> (status: UInt8, bytes: [UInt8]) {
      try offer(0, sector: sector)
      try rig.driver.kick(0, queue)
      _ = try rig.driver.waitForUsed(queue)
      let slot = LongReadTests.slot(0)
      return (
        try rig.memory.load8(at: GuestAddress(slot + 16)),
        try rig.memory.read(at: GuestAddress(slot + 0x1000), count: Int(LongReadTests.count))
      )
    }

    /// How many bytes the file takes on the host.
    var allocated: Int {
      var status = stat()
      return unsafe stat(path, &status) == 0 ? Int(status.st_blocks) * 512 : -1
    }
  }

  @Test(arguments: DiskPlace.allCases) func manyAtOnceAreAllDone(place: DiskPlace) throws {
    let test = try Rig(place)
    let (rig, queue) = (test.rig, test.queue)
    for round in 0..<12 as Range<UInt64> {
      for index in 0..<40 as Range<UInt64> {
        try test.offer(index, sector: (index * 191 + round) % 7900)
      }
      try rig.driver.kick(0, queue)
      for _ in 0..<40 {
        #expect(try rig.driver.waitForUsed(queue).written == Self.count + 1)
      }
      for index in 0..<40 as Range<UInt64> {
        let slot = Self.slot(index)
        #expect(try rig.memory.load8(at: GuestAddress(slot + 16)) == 0)
        let bytes = try rig.memory.read(at: GuestAddress(slot + 0x1000), count: Int(Self.count))
        let start = Int((index * 191 + round) % 7900) * 512
        try #require(bytes[...] == Self.content[start..<start + Int(Self.count)])
      }
    }
    #expect(rig.log.lines == [])
  }

  /// Those that are beyond the new end fail, wherever they are done.
  @Test(arguments: DiskPlace.allCases) func thoseThatTheFileHasNoMoreFail(place: DiskPlace) throws {
    let test = try Rig(place)
    let (rig, queue) = (test.rig, test.queue)
    #expect(truncate(test.path, off_t(Self.size / 2)) == 0)
    for index in 0..<40 as Range<UInt64> {
      try test.offer(index, sector: index % 2 == 0 ? index : 6000)
    }
    try rig.driver.kick(0, queue)
    for _ in 0..<40 { _ = try rig.driver.waitForUsed(queue) }
    let answers = try (0..<40).map { try rig.memory.load8(at: GuestAddress(Self.slot($0) + 16)) }
    #expect(answers == (0..<40).map { $0 % 2 == 0 ? 0 : 1 })
    #expect(
      rig.log.lines.allSatisfy {
        $0.hasPrefix(
          "error: disk0: \(test.path): read of 131072 bytes at 3072000: the file ends after 0"
        )
      }
    )
  }

  @Test(arguments: DiskPlace.allCases) func aResetInTheMiddleEndsThem(place: DiskPlace) throws {
    let test = try Rig(place)
    let rig = test.rig
    var current = test.queue
    for _ in 0..<10 {
      for index in 0..<40 as Range<UInt64> { try test.offer(index, sector: index, current) }
      rig.transport.notify(0)
      rig.transport.status = 0
      let places = (0..<40).map { GuestAddress(Self.slot($0) + 0x1000 + 0x10000) }
      for place in places { try rig.memory.store64(7, at: place) }
      usleep(3000)
      #expect(try places.allSatisfy { try rig.memory.load64(at: $0) == 7 })
      try rig.driver.negotiate()
      current = try rig.driver.makeQueue(0)
      rig.driver.start()
    }
    #expect(rig.log.lines == [])
  }

  /// What was never written takes no memory for having been read, whoever has the file.
  @Test(arguments: [nil, 65534] as [uid_t?]) func holesStayHoles(owner: uid_t?) throws {
    let test = try Rig(.memory, [1] + [UInt8](repeating: 0, count: 511), owner: owner)
    #expect(truncate(test.path, off_t(Self.size)) == 0)
    #expect(try test.block.resize().hasChanged)
    #expect(test.allocated == 4096)
    var expected = [UInt8](repeating: 0, count: Int(Self.count))
    expected[0] = 1
    #expect(try test.read(sector: 0) == (0, expected))
    expected[0] = 0
    #expect(try test.read(sector: 4096) == (0, expected))
    #expect(test.allocated == 4096)
  }

  /// Cut short under the disk, in the middle of a page, and made long again: nothing is made up, nothing is kept.
  @Test(arguments: DiskPlace.allCases) func aFileThatIsCutAndGrowsIsReadAsItIs(
    place: DiskPlace
  ) throws {
    let test = try Rig(place)
    let count = Int(Self.count)
    #expect(try test.read(sector: 8) == (0, Array(Self.content[4096..<4096 + count])))
    #expect(truncate(test.path, off_t(4096 + count - 100)) == 0)
    #expect(try test.read(sector: 8).status == 1)
    #expect(truncate(test.path, 8192) == 0)
    #expect(try test.read(sector: 8).status == 1)
    #expect(truncate(test.path, off_t(2 * Self.size)) == 0)
    #expect(try test.block.resize().hasChanged)
    var expected = Array(Self.content[4096..<8192])
    expected += [UInt8](repeating: 0, count: count - 4096)
    #expect(try test.read(sector: 8) == (0, expected))
    #expect(try test.read(sector: UInt64(2 * Self.size - count) / 512).status == 0)
    #expect(test.rig.log.lines.count == 2)
  }
}
