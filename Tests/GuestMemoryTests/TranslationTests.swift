import GuestMemory
import Testing

/// Which accesses are RAM, and which byte they reach.
@Suite struct TranslationTests {
  /// Two regions that touch at 0x4000, a hole, and a region at the top of the address space.
  static func makeMemory() throws -> GuestMemory {
    try GuestMemory([
      (GuestAddress(0x2000), 0x2000), (GuestAddress(0x4000), 0x1000),
      (GuestAddress(0x8000), 0x1000), (GuestAddress(0xFFFF_FFFF_FFFF_E000), 0x1000),
    ])
  }

  @Test(
    arguments: [
      (0x2000, 0x3000), (0x2000, 1), (0x4FFF, 1), (0x3FFF, 2), (0x3FFF, 0x1001), (0x8000, 0x1000),
      (0xFFFF_FFFF_FFFF_E000, 0x1000), (0xFFFF_FFFF_FFFF_EFFF, 1),
    ] as [(UInt64, UInt64)]
  )
  func aRangeInsideTheRegionsIsRAM(address: UInt64, count: UInt64) throws {
    let memory = try Self.makeMemory()
    #expect(memory.contains(GuestAddress(address), count: count))
  }

  @Test(
    arguments: [
      (0, 1), (0x1FFF, 1), (0x1FFF, 2), (0x1000, 0x8000), (0x5000, 1), (0x4FFF, 2),
      (0x2000, 0x3001),
      (0x2000, 0x7000), (0x7FFF, 2), (0x8FFF, 2), (0x9000, 1), (0, .max), (0x2000, .max),
      (0xFFFF_FFFF_FFFF_DFFF, 2), (0xFFFF_FFFF_FFFF_F000, 1), (0xFFFF_FFFF_FFFF_EFFF, 2),
      (.max, 1), (.max, 2), (.max, .max), (0xFFFF_FFFF_FFFF_E000, .max),
      (0xFFFF_FFFF_FFFF_E000, 0x4001),
    ] as [(UInt64, UInt64)]
  )
  func aRangeThatLeavesTheRegionsIsNotRAMAndCannotBeCopied(address: UInt64, count: UInt64) throws {
    let memory = try Self.makeMemory()
    let start = GuestAddress(address)

    #expect(!memory.contains(start, count: count))

    let error = GuestMemoryError(address: start, count: count)
    #expect(throws: error) { try memory.zero(start, count: count) }
    let size = Int(truncatingIfNeeded: min(count, 0x1_0000))
    let short = GuestMemoryError(address: start, count: UInt64(size))
    #expect(throws: short) { try memory.read(at: start, count: size) }
    #expect(throws: short) { try memory.write([UInt8](repeating: 1, count: size), at: start) }
  }

  @Test(arguments: [0, 0x2000, 0x5000, 0x9000, .max] as [UInt64])
  func noBytesAreEverywhere(address: UInt64) throws {
    let memory = try Self.makeMemory()
    let start = GuestAddress(address)

    #expect(memory.contains(start, count: 0))
    #expect(try memory.read(at: start, count: 0) == [])
    try memory.write([], at: start)
    try memory.zero(start, count: 0)
  }

  @Test func eachRegionHasBytesOfItsOwn() throws {
    let memory = try Self.makeMemory()
    let starts = memory.regions.map(\.start)

    for (index, start) in starts.enumerated() { try memory.store8(UInt8(index + 1), at: start) }

    #expect(try starts.map { try memory.load8(at: $0) } == [1, 2, 3, 4])
    #expect(memory.regions.map(\.fileOffset) == [0, 0x2000, 0x3000, 0x4000])
    let bases = memory.regions.map { memory.unsafeHostAddress(of: $0) }
    #expect(bases.map { $0 - bases[0] } == [0, 0x2000, 0x3000, 0x4000])
  }

  @Test func newMemoryIsZero() throws {
    let memory = try Self.makeMemory()
    #expect(try memory.read(at: GuestAddress(0x2000), count: 0x3000).allSatisfy { $0 == 0 })
  }

  @Test func theErrorNamesTheRange() {
    let error = GuestMemoryError(address: GuestAddress(0xFEE0_0000), count: 16)
    #expect(error.description == "no guest memory at 0xfee00000 for 16 bytes")
  }
}
