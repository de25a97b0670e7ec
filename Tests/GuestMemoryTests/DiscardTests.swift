import GuestMemory
import HostOS
import Testing

@Suite struct DiscardTests {
  @Test func wholePagesReadAsZeroesAndOthersStay() throws {
    let memory = try GuestMemory(count: 0x10000)
    try memory.write([UInt8](repeating: 7, count: 0x10000), at: GuestAddress(0))

    #expect(try memory.discard(GuestAddress(0x1800), count: 0x3000) == 0x2000)

    #expect(try memory.load8(at: GuestAddress(0x1FFF)) == 7)
    #expect(try memory.read(at: GuestAddress(0x2000), count: 0x2000).allSatisfy { $0 == 0 })
    #expect(try memory.load8(at: GuestAddress(0x4000)) == 7)
  }

  @Test func aRangeMayCrossRegionsThatTouch() throws {
    let memory = try GuestMemory([
      (GuestAddress(0), 0x2000), (GuestAddress(0x2000), 0x2000), (GuestAddress(0x10000), 0x1000),
    ])
    try memory.write([UInt8](repeating: 7, count: 0x4000), at: GuestAddress(0))
    #expect(try memory.discard(GuestAddress(0x1000), count: 0x2000) == 0x2000)
    #expect(try memory.load8(at: GuestAddress(0x2FFF)) == 0)
    #expect(throws: GuestMemoryError.self) {
      try memory.discard(GuestAddress(0x3000), count: 0x2000)
    }
    #expect(try memory.load8(at: GuestAddress(0x3000)) == 7)
  }

  @Test(arguments: [(0, 0), (1, 4095), (0x1001, 0x1000), (0x3FFF, 1)] as [(UInt64, UInt64)])
  func lessThanAPageIsNothing(address: UInt64, count: UInt64) throws {
    let memory = try GuestMemory(count: 0x4000)
    #expect(try memory.discard(GuestAddress(address), count: count) == 0)
  }

  @Test(
    arguments: [(0x4000, 0x1000), (.max, 1), (0xFFFF_FFFF_FFFF_F000, 0x2000)] as [(UInt64, UInt64)]
  )
  func whatIsNoMemoryIsRefused(address: UInt64, count: UInt64) throws {
    let memory = try GuestMemory(count: 0x4000)
    #expect(throws: GuestMemoryError.self) {
      try memory.discard(GuestAddress(address), count: count)
    }
  }
}
