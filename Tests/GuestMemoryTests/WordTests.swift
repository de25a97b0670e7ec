import GuestMemory
import HostOS
import Synchronization
import Testing

/// Loads and stores of single words.
@Suite struct WordTests {
  static let value: UInt64 = 0x8877_6655_4433_2211
  static let bytes: [UInt8] = [0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88]

  /// Two regions that touch at 0x2000, at whose end RAM ends.
  static func makeMemory() throws -> GuestMemory {
    try GuestMemory([(GuestAddress(0x1000), 0x1000), (GuestAddress(0x2000), 0x1000)])
  }

  /// Aligned, at every misalignment, and across the boundary at each byte.
  @Test(
    arguments: [
      0x1000, 0x1001, 0x1002, 0x1003, 0x1004, 0x1005, 0x1006, 0x1007, 0x1FF8, 0x1FF9, 0x1FFA,
      0x1FFB,
      0x1FFC, 0x1FFD, 0x1FFE, 0x1FFF, 0x2000, 0x2FF8,
    ] as [UInt64]
  )
  func wordsAreLittleEndianWhereverTheyAre(address: UInt64) throws {
    let memory = try Self.makeMemory()
    let place = GuestAddress(address)

    try memory.store64(Self.value, at: place)

    #expect(try memory.read(at: place, count: 8) == Self.bytes)
    #expect(try memory.load64(at: place) == Self.value)
    #expect(try memory.load32(at: place) == 0x4433_2211)
    #expect(try memory.load16(at: place) == 0x2211)
    #expect(try memory.load8(at: place) == 0x11)
  }

  @Test(arguments: [0x1800, 0x1801, 0x1FFD, 0x1FFE, 0x1FFF, 0x2000] as [UInt64])
  func aStoreChangesNoByteBesideTheWord(address: UInt64) throws {
    let memory = try Self.makeMemory()
    let around = GuestAddress(address - 1)

    try memory.write([UInt8](repeating: 0xEE, count: 6), at: around)
    try memory.store32(0x4433_2211, at: GuestAddress(address))
    #expect(try memory.read(at: around, count: 6) == [0xEE, 0x11, 0x22, 0x33, 0x44, 0xEE])

    try memory.write([UInt8](repeating: 0xEE, count: 6), at: around)
    try memory.store16(0x2211, at: GuestAddress(address))
    #expect(try memory.read(at: around, count: 6) == [0xEE, 0x11, 0x22, 0xEE, 0xEE, 0xEE])

    try memory.write([UInt8](repeating: 0xEE, count: 6), at: around)
    try memory.store8(0x11, at: GuestAddress(address))
    #expect(try memory.read(at: around, count: 6) == [0xEE, 0x11, 0xEE, 0xEE, 0xEE, 0xEE])
  }

  @Test(arguments: [0x2FF9, 0x2FFC, 0x2FFF, 0x3000, 0xFF9, 0xFFF, 0, .max] as [UInt64])
  func aWordThatLeavesRAMIsAnErrorAndStoresNothing(address: UInt64) throws {
    let memory = try Self.makeMemory()
    let place = GuestAddress(address)
    let error = GuestMemoryError(address: place, count: 8)

    #expect(throws: error) { try memory.load64(at: place) }
    #expect(throws: error) { try memory.store64(.max, at: place) }

    #expect(try memory.read(at: GuestAddress(0x1000), count: 0x2000).allSatisfy { $0 == 0 })
  }

  @Test func theLastByteOfRAMIsTooShortForAnythingWider() throws {
    let memory = try Self.makeMemory()
    let last = GuestAddress(0x2FFF)

    try memory.store8(7, at: last)

    #expect(try memory.load8(at: last) == 7)
    #expect(throws: GuestMemoryError(address: last, count: 2)) { try memory.load16(at: last) }
    #expect(throws: GuestMemoryError(address: last, count: 2)) { try memory.store16(1, at: last) }
    #expect(throws: GuestMemoryError(address: last, count: 4)) { try memory.load32(at: last) }
    #expect(throws: GuestMemoryError(address: last, count: 4)) { try memory.store32(1, at: last) }
    #expect(throws: GuestMemoryError.self) { try memory.load8(at: GuestAddress(0x3000)) }
    #expect(throws: GuestMemoryError.self) { try memory.store8(1, at: GuestAddress(0x3000)) }
  }

  /// A reader that sees the second word sees the first, and no word is ever half written.
  @Test func aStoreIsSeenWholeAndInOrder() throws {
    let memory = try GuestMemory(count: 0x1000)
    let data = GuestAddress(0x100)
    let flag = GuestAddress(0x200)
    let rounds: UInt64 = 20_000

    let writer = try Thread("writer") {
      for round in 1...rounds {
        try? memory.store64(round << 32 | round, at: data)
        try? memory.store32(UInt32(round), at: flag)
      }
    }
    var isWhole = true
    var isInOrder = true
    var seen: UInt32 = 0
    while seen < UInt32(rounds) {
      seen = try memory.load32(at: flag)
      let word = try memory.load64(at: data)
      isWhole = isWhole && word >> 32 == word & 0xFFFF_FFFF
      isInOrder = isInOrder && word & 0xFFFF_FFFF >= UInt64(seen)
    }
    writer.join()

    #expect(isWhole)
    #expect(isInOrder)
  }
}
