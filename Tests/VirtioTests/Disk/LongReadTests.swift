import Glibc
import GuestMemory
import TestSupport
import Testing
import Virtio

/// Reads that are long enough for several threads to copy at once.
@Suite(.timeLimit(.minutes(5))) struct LongReadTests {
  private static let count: UInt32 = 128 << 10
  private static let size = 4 << 20

  private let folder: TemporaryFolder
  private let path: String
  private let rig: DeviceRig
  private let queue: MockQueue

  private static let content = (0..<size).map { UInt8(truncatingIfNeeded: $0 >> 9 &* 31 &+ $0) }

  private static func slot(_ index: UInt64) -> UInt64 { 0x200000 + index * 0x30000 }

  init() throws {
    folder = try TemporaryFolder()
    path = try folder.file("disk", Self.content)
    rig = try DeviceRig(
      Block(try DiskImage(opening: path, readOnly: false), name: "disk0"),
      memoryCount: 16 << 20
    )
    try rig.driver.negotiate()
    queue = try rig.driver.makeQueue(0)
    rig.driver.start()
  }

  /// Makes a read into slot `index`, in two buffers that share a page.
  private func offer(_ index: UInt64, sector: UInt64, _ other: MockQueue? = nil) throws {
    let slot = Self.slot(index)
    try rig.memory.store32(0, at: GuestAddress(slot))
    try rig.memory.store64(sector, at: GuestAddress(slot + 8))
    try rig.memory.store8(0xFF, at: GuestAddress(slot + 16))
    try (other ?? queue).add([
      .readable(slot, 16), .writable(slot + 0x1000, 1000),
      .writable(slot + 0x1000 + 1000, Self.count - 1000), .writable(slot + 16, 1),
    ])
  }

  @Test func manyAtOnceAreAllDone() throws {
    for round in 0..<12 as Range<UInt64> {
      for index in 0..<40 as Range<UInt64> {
        try offer(index, sector: (index * 191 + round) % 7900)
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
  @Test func thoseThatTheFileHasNoMoreFail() throws {
    #expect(truncate(path, off_t(Self.size / 2)) == 0)
    for index in 0..<40 as Range<UInt64> { try offer(index, sector: index % 2 == 0 ? index : 6000) }
    try rig.driver.kick(0, queue)
    for _ in 0..<40 { _ = try rig.driver.waitForUsed(queue) }
    let answers = try (0..<40).map { try rig.memory.load8(at: GuestAddress(Self.slot($0) + 16)) }
    #expect(answers == (0..<40).map { $0 % 2 == 0 ? 0 : 1 })
    #expect(
      rig.log.lines.allSatisfy {
        $0.hasPrefix(
          "error: disk0: \(path): read of 131072 bytes at 3072000: the file ends after 0"
        )
      }
    )
  }

  @Test func aResetInTheMiddleEndsThem() throws {
    var current = queue
    for _ in 0..<10 {
      for index in 0..<40 as Range<UInt64> { try offer(index, sector: index, current) }
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
}
