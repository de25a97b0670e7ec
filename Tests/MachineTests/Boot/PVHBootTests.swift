import GuestMemory
import Machine
import Testing

@Suite struct PVHBootTests {
  @Test func theKernelIsEnteredAtItsNoteIn32BitModeWithTheStartInformationInEBX() throws {
    let fixture = try BootFixture()
    let state = try fixture.load(TemporaryFile(Images.elf64().bytes))
    #expect(state.bootProtocol == .pvh)
    #expect(state.cpu.mode == .protected32)
    #expect(state.cpu.rip == 0x20_0020)
    #expect(state.cpu.rbx == 0x6000)
    #expect(state.cpu.cr0 == 0x11)
    #expect(state.cpu.cr3 == 0)
    #expect(state.cpu.cr4 == 0)
    #expect(state.cpu.efer == 0)
    #expect(state.cpu.code.descriptor == 0x00CF_9B00_0000_FFFF)
  }

  @Test func theSegmentIsLoadedAndItsBSSCleared() throws {
    let fixture = try BootFixture()
    let image = Images.elf64()
    try fixture.memory.write(
      [UInt8](repeating: 0xEE, count: 3 * 4096),
      at: GuestAddress(0x20_0000)
    )

    _ = try fixture.load(TemporaryFile(image.bytes))

    let loaded = try fixture.memory.read(at: GuestAddress(0x20_0000), count: 8193)
    #expect(Array(loaded[..<256]) == Array(image.bytes[256...]))
    #expect(loaded[256..<8192].allSatisfy { $0 == 0 })
    #expect(loaded[8192] == 0xEE)
  }

  @Test func theStartInformationNamesModuleMapLineAndTables() throws {
    let fixture = try BootFixture()
    let initrd = try TemporaryFile([1, 2, 3])

    let state = try fixture.load(TemporaryFile(Images.elf64().bytes), [initrd.path], "quiet")

    let info = state.cpu.rbx
    #expect(try fixture.load32(info) == 0x336E_C578)
    #expect(try fixture.load32(info + 4) == 1)
    #expect(try fixture.load32(info + 12) == 1)
    let module = try fixture.load64(info + 16)
    let place = try #require(state.placements.first { $0.name == "initrd" }).range
    #expect(try fixture.load64(module) == place.lowerBound.rawValue)
    #expect(try fixture.load64(module + 8) == 3)
    #expect(try fixture.text(at: fixture.load64(info + 24)) == "quiet")
    #expect(try fixture.load64(info + 32) == fixture.rsdp.rawValue)
    let map = try fixture.load64(info + 40)
    #expect(try fixture.load32(info + 48) == UInt32(fixture.map.e820.count))
    for (index, entry) in fixture.map.e820.enumerated() {
      let offset = map + UInt64(index) * 24
      #expect(try fixture.load64(offset) == entry.range.lowerBound.rawValue)
      #expect(try fixture.load64(offset + 8) == entry.range.byteCount)
      #expect(try fixture.load32(offset + 16) == entry.kind.rawValue)
    }
  }

  @Test func withoutAnInitrdThereIsNoModule() throws {
    let fixture = try BootFixture()
    let info = try fixture.load(TemporaryFile(Images.elf64().bytes)).cpu.rbx
    #expect(try fixture.load32(info + 12) == 0)
    #expect(try fixture.load64(info + 16) == 0)
  }

  @Test func anELFWithoutThePVHNoteIsRefusedByThatName() throws {
    let kernel = try TemporaryFile(Images.elf64(note: nil).bytes)
    let error = #expect(throws: BootError.self) { try Bootloader(BootRequest(kernel: kernel.path)) }
    #expect(error?.description.contains("an ELF, but without a PVH note") == true)
    #expect(error?.description.hasSuffix("starts with 7f 45 4c 46 02 01 01 00") == true)
  }

  @Test(arguments: [
    (18, 183, "another processor"), (16, 1, "no executable"), (54, 55, "program headers"),
    (56, 0, "program headers"), (64 + 33, 0xFF, "in memory"), (64 + 31, 0xFF, "wraps around"),
    (64 + 9, 0xFF, "truncated"), (128 + 3, 0xFF, "truncated"), (120, 1, "overlap"),
  ])
  func hostileHeadersAreRefused(offset: Int, value: UInt8, words: String) throws {
    var image = Images.elf64()
    // The second segment, should it become one to load, lies over the first.
    image.put(0x20_0000 as UInt64, at: 120 + 24)
    // For the wrap: an address just below 2^64.
    if offset == 64 + 31 { image.put(UInt64.max - 100, at: 64 + 24) }
    image.put(value, at: offset)
    let kernel = try TemporaryFile(image.bytes)
    let error = #expect(throws: BootError.self) { try Bootloader(BootRequest(kernel: kernel.path)) }
    #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
  }

  @Test func aSegmentAboveTheMemoryOrOverBootDataIsRefused() throws {
    let fixture = try BootFixture()
    for (address, words) in [
      (0x400_0000, "at least 65M"), (0x3FF_F000, "at least 65M"), (0xC000_0000, "link it to"),
      (0x8000, "over boot data"),
    ] as [(UInt64, String)] {
      var image = Images.elf64()
      image.put(address, at: 64 + 24)
      let error = #expect(throws: BootError.self) {
        try fixture.load(TemporaryFile(image.bytes))
      }
      #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
    }
  }

  @Test func anEntryOutsideOfTheImageIsRefused() throws {
    let fixture = try BootFixture()
    #expect(throws: BootError.self) {
      try fixture.load(TemporaryFile(Images.elf64(note: 0x1000).bytes))
    }
  }
}
