import Glibc
import GuestMemory
import TestSupport
import Testing
import Virtio

/// A driver that keeps many random requests under way, and an array that holds what the disk should.
///
/// Requests that are under way at once do not overlap where one of them changes the disk, so that
/// there is only one right answer to each read.
final class DiskModel {
  static let sectors = 4096
  private static let arena: UInt64 = 0x200000
  private static let arenaSize: UInt64 = 0x20000
  private static let limit = 32
  private static let longest = 24

  private struct Request {
    let type: UInt32
    let sectors: Range<Int>
    let slot: Int
    let buffers: [MockBuffer]
    var bytes: [UInt8] = []
    var changes: Bool { type != 0 }
  }

  private let folder: TemporaryFolder
  private let path: String
  let rig: DeviceRig
  private let queue: MockQueue
  private var random: SplitMix64
  // Random bytes, of which writes take some.
  private let pool: [UInt8]
  private var expected: [UInt8]
  // Discarded sectors hold anything until they are written.
  private var isKnown = [Bool](repeating: true, count: sectors)
  private var pending: [UInt32: Request] = [:]
  private var freeSlots = Array(0..<limit)

  /// What the file contains at first.
  static let content = (0..<(sectors * 512)).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 9) }

  convenience init(
    _ path: String,
    _ options: DiskImage.Options,
    without: VirtioFeatures = [],
    in folder: TemporaryFolder,
    seed: UInt64
  ) throws {
    let source = DiskSource(try DiskImage(opening: path, options))
    try self.init(source, without: without, in: folder, seed: seed)
  }

  init(
    _ source: DiskSource,
    without: VirtioFeatures = [],
    in folder: TemporaryFolder,
    seed: UInt64
  ) throws {
    self.folder = folder
    path = source.path
    random = SplitMix64(seed)
    var words = SplitMix64(~seed)
    pool = (0..<(4096 + Self.longest * 512)).map { _ in UInt8(truncatingIfNeeded: words.next()) }
    expected = Self.content
    rig = try DeviceRig(
      Block(source, name: "disk0"),
      memoryCount: 8 << 20
    )
    try rig.driver.negotiate(without: without)
    queue = try rig.driver.makeQueue(0)
    rig.driver.start()
  }

  /// What the disk says that requests should be multiples of.
  var blockSize: UInt64 { rig.transport.readConfiguration(offset: 20, width: 4) }

  /// Makes `count` requests and waits for all; nothing is logged, if it is to be quiet.
  func run(count: Int, quietly: Bool = true) throws {
    for _ in 0..<count {
      while pending.count == Self.limit { try takeUsed() }
      let request = try makeRequest()
      while overlaps(request) { try takeUsed() }
      try offer(request)
      if random.next() % 8 == 0 { try rig.driver.kick(0, queue) }
    }
    while !pending.isEmpty { try takeUsed() }
    if quietly { #expect(rig.log.lines == []) }
  }

  /// Ends the driver.
  func end() { rig.transport.status = 0 }

  /// Compares the file with the array.
  func check() throws {
    end()
    try check(try folder.bytes(at: path))
  }

  /// Compares with the array what `copy` writes to the path that it is given.
  func check(_ copy: (String) throws -> Void) throws {
    let path = folder.path(of: "copy")
    try copy(path)
    try check(try folder.bytes(at: path))
  }

  private func check(_ bytes: [UInt8]) throws {
    #expect(bytes.count == expected.count)
    for sector in 0..<Self.sectors where isKnown[sector] {
      let range = (sector * 512)..<((sector + 1) * 512)
      try #require(bytes[range] == expected[range], "sector \(sector)")
    }
  }

  private func makeRequest() throws -> Request {
    let types: [UInt32] = [0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 4, 11, 13]
    let type = types[Int(random.next() % 16)]
    let count = type == 4 ? 0 : Int(random.next() % UInt64(Self.longest)) + 1
    let start = Int(random.next() % UInt64(Self.sectors - count + 1))
    let slot = freeSlots.removeLast()
    return Request(
      type: type,
      sectors: start..<(start + count),
      slot: slot,
      buffers: try makeBuffers(type, start, count, at: Self.arena + UInt64(slot) * Self.arenaSize)
    )
  }

  /// Header, data in pieces at odd and even places, status.
  private func makeBuffers(
    _ type: UInt32,
    _ sector: Int,
    _ count: Int,
    at base: UInt64
  ) throws -> [MockBuffer] {
    let memory = rig.memory
    try memory.store32(type, at: GuestAddress(base))
    try memory.store32(0, at: GuestAddress(base + 4))
    try memory.store64(type == 0 || type == 1 ? UInt64(sector) : 0, at: GuestAddress(base + 8))
    try memory.store8(0xEE, at: GuestAddress(base + 16))
    var buffers: [MockBuffer] = [.readable(base, 16)]
    if type == 11 || type == 13 {
      try memory.store64(UInt64(sector), at: GuestAddress(base + 32))
      try memory.store32(UInt32(count), at: GuestAddress(base + 40))
      try memory.store32(UInt32(type == 13 ? random.next() & 1 : 0), at: GuestAddress(base + 44))
      buffers.append(.readable(base + 32, 16))
    }
    if type == 0 || type == 1 {
      var left = UInt32(count * 512)
      var place = base + 0x1000 + (random.next() % 4 == 0 ? random.next() % 600 : 0)
      while left > 0 {
        let isLast = buffers.count == 4
        let part = isLast ? left : min(left, UInt32(random.next() % UInt64(left + 512)) + 1)
        buffers.append(type == 0 ? .writable(place, part) : .readable(place, part))
        place += UInt64(part) + random.next() % 64
        left -= part
      }
    }
    return buffers + [.writable(base + 16, 1)]
  }

  private func overlaps(_ request: Request) -> Bool {
    pending.values.contains {
      ($0.changes || request.changes) && $0.sectors.overlaps(request.sectors)
    }
  }

  private func offer(_ request: Request) throws {
    var request = request
    if request.type == 1 {
      for buffer in request.buffers.dropFirst().dropLast() {
        let start = Int(random.next() % 4096)
        let part = Array(pool[start..<(start + Int(buffer.count))])
        try rig.memory.write(part, at: buffer.address)
        request.bytes += part
      }
    }
    pending[UInt32(try queue.add(request.buffers))] = request
  }

  private func takeUsed() throws {
    try rig.driver.kick(0, queue)
    let used = try rig.driver.waitForUsed(queue)
    let request = try #require(pending[used.head])
    pending[used.head] = nil
    freeSlots.append(request.slot)
    let last = try #require(request.buffers.last)
    try #require(try rig.memory.load8(at: last.address) == 0, "type \(request.type)")
    let bytes = (request.sectors.lowerBound * 512)..<(request.sectors.upperBound * 512)
    switch request.type {
    case 0: try check(request, used.written)
    case 1:
      expected.replaceSubrange(bytes, with: request.bytes)
      for sector in request.sectors { isKnown[sector] = true }
    case 13:
      expected.replaceSubrange(bytes, with: [UInt8](repeating: 0, count: bytes.count))
      for sector in request.sectors { isKnown[sector] = true }
    case 11: for sector in request.sectors { isKnown[sector] = false }
    default: break
    }
  }

  private func check(_ request: Request, _ written: UInt32) throws {
    try #require(written == UInt32(request.sectors.count * 512 + 1))
    var bytes: [UInt8] = []
    for buffer in request.buffers.dropFirst().dropLast() {
      bytes += try rig.memory.read(at: buffer.address, count: Int(buffer.count))
    }
    for (index, sector) in request.sectors.enumerated() where isKnown[sector] {
      let found = bytes[(index * 512)..<((index + 1) * 512)]
      try #require(found == expected[(sector * 512)..<((sector + 1) * 512)], "sector \(sector)")
    }
  }
}
