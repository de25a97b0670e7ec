import Glibc
import GuestMemory
import HostOS
import Testing
import TestSupport

/// What is noted of writes to another process's memory.
@Suite struct DirtyLogTests {
  static let pages: UInt64 = 64

  let bitmap: MemoryFile
  let file: MemoryFile
  let fault: EventFD

  init() throws {
    bitmap = try MemoryFile(count: 0x1000)
    file = try MemoryFile(count: Int(Self.pages) * 0x1000)
    fault = try EventFD()
  }

  /// Memory of 64 pages from address 0 on, whose writes are noted.
  func makeMemory(
    _ aliases: [DirtyLog.Alias] = [],
    bitmapCount: UInt64 = 0x1000
  ) throws -> GuestMemory {
    let log = try SharedMapping(
      of: bitmap.descriptor,
      offset: 0,
      count: bitmapCount,
      fault: fault
    )
    let mapping = try SharedMapping(
      of: file.descriptor,
      offset: 0,
      count: Self.pages * 0x1000,
      fault: fault
    )
    return GuestMemory(
      shared: [SharedRegion(start: GuestAddress(0), mapping: mapping)],
      log: DirtyLog(log, aliases: aliases)
    )
  }

  /// The pages that are noted.
  func noted() throws -> [Int] {
    let bytes = try bitmap.bytes(at: 0, count: 0x1000)
    return bytes.indices.flatMap { byte in
      (0..<8).filter { bytes[byte] >> $0 & 1 == 1 }.map { byte * 8 + $0 }
    }
  }

  @Test func everyKindOfWriteIsNoted() throws {
    let memory = try makeMemory()

    try memory.store8(1, at: GuestAddress(0x0FFF))
    try memory.store16(1, at: GuestAddress(0x2000))
    try memory.store32(1, at: GuestAddress(0x4000))
    try memory.store64(1, at: GuestAddress(0x6000))
    try memory.store64(1, at: GuestAddress(0x8FFC))
    try memory.write([1, 2, 3], at: GuestAddress(0xBFFE))
    try memory.zero(GuestAddress(0x10000), count: 0x9001)

    #expect(try noted() == [0, 2, 4, 6, 8, 9, 11, 12] + Array(16...25))
  }

  @Test func readsAreNotNoted() throws {
    let memory = try makeMemory()
    _ = try memory.load64(at: GuestAddress(0))
    _ = try memory.read(at: GuestAddress(0x1000), count: 0x2000)
    #expect(try noted() == [])
  }

  @Test func hostInputIsNotedWhenItHasCome() throws {
    let memory = try makeMemory()
    let folder = try TemporaryFolder()
    let path = try folder.file("data", [UInt8](repeating: 7, count: 0x2000))
    let data = try OwnedFileDescriptor(opening: path, O_RDONLY)
    var vector = GuestIOVector(memory)
    try vector.append(GuestAddress(0x3800), count: 0x1000)
    try vector.append(GuestAddress(0x9000), count: 0x1000)
    #expect(try noted() == [])

    _ = try vector.read(from: data.rawValue, at: 0)

    #expect(try noted() == [3, 4, 9])
  }

  @Test func hostOutputIsNotNoted() throws {
    let memory = try makeMemory()
    let folder = try TemporaryFolder()
    let path = try folder.file("data", [])
    let data = try OwnedFileDescriptor(opening: path, O_RDWR)
    var vector = GuestIOVector(memory)
    try vector.append(GuestAddress(0x3800), count: 0x1000)

    _ = try vector.write(to: data.rawValue, at: 0)

    #expect(try noted() == [])
  }

  @Test func anAliasIsNotedAtBothPlaces() throws {
    let memory = try makeMemory([
      DirtyLog.Alias(
        start: GuestAddress(0x5800),
        count: 0x1000,
        target: GuestAddress(0x100_0800)
      )
    ])

    try memory.store16(1, at: GuestAddress(0x5000))
    #expect(try noted() == [5])
    try memory.store16(1, at: GuestAddress(0x5802))
    #expect(try noted() == [5, 0x1000])
    try memory.zero(GuestAddress(0x4000), count: 0x3000)
    #expect(try noted() == [4, 5, 6, 0x1000, 0x1001])
  }

  @Test func pagesWithoutABitArePassedOver() throws {
    let memory = try makeMemory(bitmapCount: 1)
    try memory.zero(GuestAddress(0x6000), count: 0x8000)
    try memory.store8(1, at: GuestAddress(0x20000))
    #expect(try noted() == [6, 7])
  }

  @Test func whatTheLogCoversEndsWithIt() throws {
    let log = DirtyLog(
      try SharedMapping(of: bitmap.descriptor, offset: 0, count: 2, fault: fault)
    )
    #expect(log.covers(GuestAddress(0), count: 0x10000))
    #expect(!log.covers(GuestAddress(0), count: 0x10001))
    #expect(!log.covers(GuestAddress(.max), count: 2))
    log.mark(GuestAddress(.max), count: .max)
    #expect(try noted() == [])
  }
}
