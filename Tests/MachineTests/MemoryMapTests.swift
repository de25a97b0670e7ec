import GuestMemory
import Machine
import Testing

@Suite struct MemoryMapTests {
  @Test func smallMemoryIsOneRangeFromZero() throws {
    let map = try MemoryMap(size: 64 << 20, physicalAddressBits: 40)
    #expect(map.lowRAM == GuestAddress(0)..<GuestAddress(64 << 20))
    #expect(map.highRAM == nil)
    #expect(map.ram == [map.lowRAM])
  }

  @Test func threeGibibytesStillFitBelowTheDevices() throws {
    let map = try MemoryMap(size: 3 << 30, physicalAddressBits: 40)
    #expect(map.lowRAM.upperBound == MemoryMap.pciWindow32.lowerBound)
    #expect(map.highRAM == nil)
  }

  @Test func memoryGoesOnAboveFourGibibytes() throws {
    let map = try MemoryMap(size: (3 << 30) + 4096, physicalAddressBits: 40)
    #expect(map.highRAM == GuestAddress(4 << 30)..<GuestAddress((4 << 30) + 4096))
    #expect(map.guestMemoryRanges.map(\.count) == [3 << 30, 4096])
  }

  @Test(
    arguments: [
      (1 << 30, 40, 64 << 30, 64 << 30), (64 << 30, 40, 128 << 30, 64 << 30),
      (200 << 30, 48, 256 << 30, 64 << 30), (4 << 30, 36, 32 << 30, 32 << 30),
      (40 << 30, 36, 48 << 30, 16 << 30), (62 << 30, 36, 63 << 30, 1 << 30),
    ] as [(UInt64, Int, UInt64, UInt64)]
  )
  func theWideWindowIsAboveMemoryAndAlignedToItsLength(
    size: UInt64,
    bits: Int,
    start: UInt64,
    count: UInt64
  ) throws {
    let map = try MemoryMap(size: size, physicalAddressBits: bits)
    #expect(map.pciWindow64 == GuestAddress(start)..<GuestAddress(start + count))
    #expect(start % count == 0)
    #expect(start + count <= 1 << UInt64(bits))
    #expect(map.ram.allSatisfy { $0.upperBound <= map.pciWindow64.lowerBound })
  }

  @Test func sizesThatCannotBeNameTheRemedy() {
    #expect(throws: MemoryMapError.zero) { try MemoryMap(size: 0, physicalAddressBits: 40) }
    #expect(throws: MemoryMapError.unaligned(size: 16_777_217)) {
      try MemoryMap(size: 16_777_217, physicalAddressBits: 40)
    }
    #expect(throws: MemoryMapError.tooSmall(size: 8 << 20)) {
      try MemoryMap(size: 8 << 20, physicalAddressBits: 40)
    }
    #expect(
      throws: MemoryMapError.tooLarge(
        size: 63 << 30,
        largest: 62 << 30,
        physicalAddressBits: 36
      )
    ) { try MemoryMap(size: 63 << 30, physicalAddressBits: 36) }
    #expect(
      MemoryMapError.zero.description
        == "--memory 0: a machine needs memory; give at least 16M"
    )
    #expect(
      MemoryMapError.unaligned(size: 1 << 30 | 1).description
        == "--memory 1073741825: not a multiple of 4096 bytes; the next that is: 1048580K"
    )
    #expect(MemoryMapError.unaligned(size: .max).description.contains("16M"))
  }

  @Test(arguments: [0, 1, 36, 52, 64, 255, -1])
  func anyAddressWidthGivesAMapOrAnError(bits: Int) {
    for size in [4096, 16 << 20, 1 << 40, UInt64.max & ~4095] as [UInt64] {
      _ = try? MemoryMap(size: size, physicalAddressBits: bits)
    }
  }

  @Test(arguments: [16 << 20, 512 << 20, 3 << 30, 8 << 30] as [UInt64])
  func theE820MapIsOrderedAndCoversAllMemoryButTheBIOSArea(size: UInt64) throws {
    let map = try MemoryMap(size: size, physicalAddressBits: 40)
    let entries = map.e820
    let inOrder = zip(entries, entries.dropFirst()).allSatisfy {
      $0.range.upperBound <= $1.range.lowerBound
    }
    let usable = entries.filter { $0.kind == .usable }.reduce(UInt64(0)) {
      $0 + $1.range.byteCount
    }
    #expect(inOrder)
    #expect(usable == size - (0x10_0000 - 0x9_FC00))
    #expect(entries.contains(E820Entry(MemoryMap.ecam, .reserved)))
    let tables = entries.first { $0.range.contains(MemoryMap.acpiTables.lowerBound) }
    #expect(tables?.kind == .reserved)
    #expect(tables?.range.upperBound == MemoryMap.acpiTables.upperBound)
  }

  @Test func theFixedRangesDoNotOverlap() {
    let ranges = [
      MemoryMap.extendedBIOSData, MemoryMap.acpiTables, MemoryMap.pciWindow32, MemoryMap.ecam,
      MemoryMap.virtioMMIO, MemoryMap.ioAPIC, MemoryMap.localAPIC, MemoryMap.kvmPages,
    ]
    #expect(zip(ranges, ranges.dropFirst()).allSatisfy { $0.upperBound <= $1.lowerBound })
  }
}
