import GuestMemory
import Testing

/// Copies of many bytes.
@Suite struct BulkCopyTests {
  /// Three regions that touch, and a fourth after a hole.
  static func makeMemory() throws -> GuestMemory {
    try GuestMemory([
      (GuestAddress(0x1000), 0x1000), (GuestAddress(0x2000), 0x1000),
      (GuestAddress(0x3000), 0x2000),
      (GuestAddress(0x6000), 0x1000),
    ])
  }

  static func pattern(_ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) }
  }

  @Test(
    arguments: [
      (0x1000, 1), (0x1000, 0x4000), (0x1FFF, 0x1002), (0x1801, 0x17FE), (0x2000, 0x1000),
      (0x6000, 0x1000), (0x4FFF, 1),
    ] as [(UInt64, Int)]
  )
  func whatIsWrittenIsRead(address: UInt64, count: Int) throws {
    let memory = try Self.makeMemory()
    let bytes = Self.pattern(count)

    try memory.write(bytes, at: GuestAddress(address))

    #expect(try memory.read(at: GuestAddress(address), count: count) == bytes)
  }

  @Test func aCopyChangesNoByteBesideIt() throws {
    let memory = try Self.makeMemory()
    let all = Self.pattern(0x4000)
    try memory.write(all, at: GuestAddress(0x1000))

    try memory.write([UInt8](repeating: 0xAA, count: 0x1002), at: GuestAddress(0x1FFF))
    try memory.zero(GuestAddress(0x4001), count: 0xFFE)

    var expected = all
    expected.replaceSubrange(0xFFF..<0x2001, with: [UInt8](repeating: 0xAA, count: 0x1002))
    expected.replaceSubrange(0x3001..<0x3FFF, with: [UInt8](repeating: 0, count: 0xFFE))
    #expect(try memory.read(at: GuestAddress(0x1000), count: 0x4000) == expected)
  }

  @Test func zeroReachesAcrossRegions() throws {
    let memory = try Self.makeMemory()
    try memory.write([UInt8](repeating: 0xFF, count: 0x4000), at: GuestAddress(0x1000))

    try memory.zero(GuestAddress(0x1000), count: 0x4000)

    #expect(try memory.read(at: GuestAddress(0x1000), count: 0x4000).allSatisfy { $0 == 0 })
  }

  /// All or nothing: the bytes before the hole stay as they were.
  @Test func aCopyThatReachesAHoleChangesNothing() throws {
    let memory = try Self.makeMemory()
    let before = Self.pattern(16)
    let start = GuestAddress(0x4FF0)
    try memory.write(before, at: start)

    #expect(throws: GuestMemoryError(address: start, count: 17)) {
      try memory.write([UInt8](repeating: 0, count: 17), at: start)
    }
    #expect(throws: GuestMemoryError(address: start, count: 17)) {
      try memory.zero(start, count: 17)
    }

    #expect(try memory.read(at: start, count: 16) == before)
  }

  @Test func aReadThatReachesAHoleLeavesTheBufferAlone() throws {
    let memory = try Self.makeMemory()
    try memory.write([UInt8](repeating: 0xFF, count: 16), at: GuestAddress(0x4FF0))
    var buffer = [UInt8](repeating: 1, count: 17)

    #expect(throws: GuestMemoryError(address: GuestAddress(0x4FF0), count: 17)) {
      var span = buffer.mutableSpan
      var bytes = span.mutableBytes
      try memory.read(at: GuestAddress(0x4FF0), into: &bytes)
    }

    #expect(buffer == [UInt8](repeating: 1, count: 17))
  }
}
