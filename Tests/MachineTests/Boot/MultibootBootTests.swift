import GuestMemory
import Machine
import Testing

@Suite struct MultibootBootTests {
  @Test func anELFIsEnteredWithTheMagicAndItsInformation() throws {
    let fixture = try BootFixture()
    let kernel = try TemporaryFile(Images.multibootELF().bytes)

    let state = try fixture.load(kernel, [], "a b")

    #expect(state.bootProtocol == .multiboot)
    #expect(state.cpu.mode == .protected32)
    #expect(state.cpu.rip == 0x20_0010)
    #expect(state.cpu.rax == 0x2BAD_B002)
    let info = state.cpu.rbx
    #expect(try fixture.load32(info) == 0x24D)
    #expect(try fixture.load32(info + 4) == 639)
    #expect(try fixture.load32(info + 8) == 63 << 10)
    #expect(try fixture.text(at: UInt64(fixture.load32(info + 16))) == "\(kernel.path) a b")
    #expect(try fixture.load32(info + 20) == 0)
    #expect(try fixture.text(at: UInt64(fixture.load32(info + 64))) == "Apus")
  }

  @Test func theMemoryMapIsWalkedByItsSizes() throws {
    let fixture = try BootFixture()
    let info = try fixture.load(TemporaryFile(Images.multibootELF().bytes)).cpu.rbx
    var next = UInt64(try fixture.load32(info + 48))
    let end = next + UInt64(try fixture.load32(info + 44))
    var found: [[UInt64]] = []
    while next < end {
      let size = try fixture.load32(next)
      found.append([
        try fixture.load64(next + 4), try fixture.load64(next + 12),
        UInt64(try fixture.load32(next + 20)),
      ])
      next += UInt64(size) + 4
    }
    #expect(
      found
        == fixture.map.e820.map {
          [$0.range.lowerBound.rawValue, $0.range.byteCount, UInt64($0.kind.rawValue)]
        }
    )
  }

  @Test func aFlatImageIsLoadedByItsAddressFields() throws {
    let fixture = try BootFixture()
    let image = Images.multibootFlat()
    try fixture.memory.write([UInt8](repeating: 0xEE, count: 8192), at: GuestAddress(0x10_0000))

    let state = try fixture.load(TemporaryFile(image.bytes))

    #expect(state.cpu.rip == 0x10_0040)
    let loaded = try fixture.memory.read(at: GuestAddress(0x10_0000), count: 0x10F1)
    #expect(Array(loaded[..<0xF0]) == Array(image.bytes[16...]))
    #expect(loaded[0xF0..<0x10F0].allSatisfy { $0 == 0 })
    #expect(loaded[0x10F0] == 0xEE)
  }

  @Test func aFlatImageWithoutEndsIsTheWholeFile() throws {
    let fixture = try BootFixture()
    var image = Images.multibootFlat()
    image.put(0 as UInt64, at: 52)
    let state = try fixture.load(TemporaryFile(image.bytes))
    let kernel = try #require(state.placements.first { $0.name == "kernel" })
    #expect(kernel.range.byteCount == 240)
  }

  @Test func modulesAreOnPagesWithTheirText() throws {
    let fixture = try BootFixture()
    let first = try TemporaryFile([UInt8](repeating: 1, count: 5000))
    let second = try TemporaryFile([2, 3])

    let info = try fixture.load(
      TemporaryFile(Images.multibootELF().bytes),
      ["\(first.path) one two", second.path]
    ).cpu.rbx

    #expect(try fixture.load32(info + 20) == 2)
    let table = UInt64(try fixture.load32(info + 24))
    let starts = try [0, 16].map { UInt64(try fixture.load32(table + $0)) }
    let ends = try [0, 16].map { UInt64(try fixture.load32(table + $0 + 4)) }
    let texts = try [0, 16].map {
      try fixture.text(at: UInt64(fixture.load32(table + $0 + 8)))
    }
    #expect(starts.allSatisfy { $0 % 4096 == 0 && $0 >= 0x20_2000 })
    #expect(zip(starts, ends).map { $1 - $0 } == [5000, 2])
    #expect(texts == ["\(first.path) one two", second.path])
    #expect(try fixture.memory.read(at: GuestAddress(starts[1]), count: 2) == [2, 3])
  }

  @Test func theInformationGivesWayToAnImageInLowMemory() throws {
    let fixture = try BootFixture()
    var image = Images.multibootELF()
    for offset in [16, 24] { image.put(0x8000 as UInt64, at: 64 + offset) }
    image.put(0x8010 as UInt64, at: 24)

    let state = try fixture.load(TemporaryFile(image.bytes))

    #expect(state.cpu.rip == 0x8010)
    #expect(state.cpu.rbx >= 0x10_0000)
    #expect(
      try fixture.memory.read(at: GuestAddress(0x8000), count: 256) == Array(image.bytes[256...])
    )
  }

  @Test(arguments: [1 << 2, 1 << 3, 1 << 15] as [UInt32])
  func aRequirementThatCannotBeMetIsRefused(flag: UInt32) throws {
    let kernel = try TemporaryFile(Images.multibootELF(flags: flag | 3).bytes)
    let error = #expect(throws: BootError.self) { try Bootloader(BootRequest(kernel: kernel.path)) }
    #expect(error?.description.contains("requires flags 0x\(String(flag, radix: 16))") == true)
  }

  @Test func optionalFlagsAreIgnored() throws {
    let kernel = try TemporaryFile(Images.multibootELF(flags: 3 | 1 << 20).bytes)
    #expect(try Bootloader(BootRequest(kernel: kernel.path)).bootProtocol == .multiboot)
  }

  @Test(
    arguments: [
      // header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr
      ([0x0F_FFFF, 0x10_0000, 0, 0, 0x10_0040], "does not go with"),
      ([0x10_0030, 0x10_0000, 0, 0, 0x10_0040], "does not go with"),
      ([0x10_0010, 0x10_0000, 0xF_0000, 0, 0x10_0040], "out of order"),
      ([0x10_0010, 0x10_0000, 0x10_00F0, 0x10_0080, 0x10_0040], "out of order"),
      ([0x10_0010, 0x10_0000, 0x10_00F1, 0, 0x10_0040], "truncated"),
      ([0x10_0010, 0x10_0000, 0x10_00F0, 0, 0x10_00F0], "not in the image"),
      ([0x10_0010, 0x10_0000, 0x10_00F0, 0xFFFF_FFFF, 0x10_0040], "link it to"),
      ([0x9_FC10, 0x9_FC00, 0, 0, 0x9_FC40], "firmware"),
      ([0x10, 0, 0, 0, 0x40], "firmware"),
      ([0xFFFF_FF10, 0xFFFF_FF00, 0, 0, 0xFFFF_FF40], "link it to"),
    ] as [([UInt32], String)]
  )
  func hostileAddressFieldsAreRefused(fields: [UInt32], words: String) throws {
    let fixture = try BootFixture()
    var image = Images.multibootFlat()
    for (index, value) in fields.enumerated() { image.put(value, at: 44 + index * 4) }
    let error = #expect(throws: BootError.self) { try fixture.load(TemporaryFile(image.bytes)) }
    #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
  }

  @Test func aModuleThatDoesNotFitOrIsMissingIsNamed() throws {
    let fixture = try BootFixture(size: 16 << 20)
    let kernel = try TemporaryFile(Images.multibootELF().bytes)
    let large = try TemporaryFile([UInt8](repeating: 1, count: 15 << 20))
    let tooLarge = #expect(throws: BootError.self) { try fixture.load(kernel, [large.path]) }
    #expect(tooLarge?.description.contains("15728640 bytes do not fit") == true)
    let missing = #expect(throws: BootError.self) { try fixture.load(kernel, ["/nowhere/x y"]) }
    #expect(missing?.description == "/nowhere/x: No such file or directory; check the path")
  }

  @Test func listsOfFilesSplitAtSingleCommas() {
    #expect(BootRequest.files(in: "a b,c") == ["a b", "c"])
    #expect(BootRequest.files(in: "a,,b,c") == ["a,b", "c"])
    #expect(BootRequest.files(in: "a") == ["a"])
  }
}
