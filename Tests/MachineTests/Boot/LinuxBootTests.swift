import GuestMemory
import Machine
import Testing

@Suite struct LinuxBootTests {
  @Test func theKernelIsEnteredInLongModeWithTheZeroPageInRSI() throws {
    let fixture = try BootFixture()
    let payload = (0..<4096).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    let kernel = try TemporaryFile(Images.bzImage(payload: payload).bytes)

    let state = try fixture.load(kernel, [], "console=ttyS0")

    #expect(state.bootProtocol == .linux)
    #expect(state.cpu.rip == 0x100_0200)
    #expect(state.cpu.rsi == 0x7000)
    #expect(state.cpu.mode == .long(pageTable: GuestAddress(0x9000)))
    #expect(state.cpu.cr0 & 0x8000_0001 == 0x8000_0001)
    #expect(state.cpu.cr4 == 0x20)
    #expect(state.cpu.efer == 0x500)
    #expect(try fixture.memory.read(at: GuestAddress(0x100_0000), count: 4096) == payload)
  }

  @Test func theZeroPageHasTheHeaderTheLoaderTheLineAndTheMap() throws {
    let fixture = try BootFixture()
    let kernel = try TemporaryFile(Images.bzImage().bytes)

    _ = try fixture.load(kernel, [], "root=/dev/vda quiet")

    #expect(try fixture.memory.load16(at: GuestAddress(0x71FE)) == 0xAA55)
    #expect(try fixture.load32(0x7202) == 0x5372_6448)
    #expect(try fixture.memory.load8(at: GuestAddress(0x7210)) == 0xFF)
    #expect(try fixture.load32(0x7260) == 0x10_0000)
    #expect(try fixture.text(at: UInt64(fixture.load32(0x7228))) == "root=/dev/vda quiet")
    #expect(try fixture.load64(0x7070) == fixture.rsdp.rawValue)
    let entries = fixture.map.e820
    #expect(try fixture.memory.load8(at: GuestAddress(0x71E8)) == UInt8(entries.count))
    for (index, entry) in entries.enumerated() {
      let offset = 0x72D0 + UInt64(index) * 20
      #expect(try fixture.load64(offset) == entry.range.lowerBound.rawValue)
      #expect(try fixture.load64(offset + 8) == entry.range.byteCount)
      #expect(try fixture.load32(offset + 16) == entry.kind.rawValue)
    }
  }

  @Test func thePageTablesMapFourGibibytesToThemselves() throws {
    let fixture = try BootFixture()
    _ = try fixture.load(TemporaryFile(Images.bzImage().bytes))

    for address in [0, 0x7000, 0x100_0200, 0xFEE0_0000, 0xFFFF_FFFF] as [UInt64] {
      let top = try fixture.load64(0x9000)
      let pointer = try fixture.load64((top & ~0xFFF) + (address >> 30) * 8)
      let entry = try fixture.load64((pointer & ~0xFFF) + (address >> 21 & 511) * 8)
      #expect(top & 3 == 3 && pointer & 3 == 3)
      #expect(entry == address & ~0x1F_FFFF | 0x83)
    }
  }

  @Test func theDescriptorTableHoldsWhatTheSegmentRegistersSay() throws {
    let fixture = try BootFixture()
    let state = try fixture.load(TemporaryFile(Images.bzImage().bytes)).cpu
    let base = state.gdtBase.rawValue
    #expect(try fixture.load64(base + UInt64(state.code.selector)) == 0x00AF_9B00_0000_FFFF)
    #expect(try fixture.load64(base + UInt64(state.data.selector)) == 0x00CF_9300_0000_FFFF)
    #expect(try fixture.load64(base + UInt64(state.task.selector)) == 0x0000_8B00_0000_0067)
    #expect(state.gdtLimit == 47)
  }

  @Test func theInitrdIsHighPageAlignedAndInTheZeroPage() throws {
    let fixture = try BootFixture()
    let bytes = (0..<5000).map { UInt8(truncatingIfNeeded: $0) }
    let initrd = try TemporaryFile(bytes)

    let state = try fixture.load(TemporaryFile(Images.bzImage().bytes), [initrd.path])

    let place = try #require(state.placements.first { $0.name == "initrd" }).range
    #expect(place.lowerBound == GuestAddress((64 << 20) - 8192))
    #expect(try fixture.load32(0x7218) == UInt32(place.lowerBound.rawValue))
    #expect(try fixture.load32(0x721C) == 5000)
    #expect(try fixture.memory.read(at: place.lowerBound, count: 5000) == bytes)
  }

  @Test func theInitrdStaysBelowTheAddressThatTheKernelAllows() throws {
    let fixture = try BootFixture()
    var image = Images.bzImage()
    image.put(0x1FF_FFFF as UInt32, at: 0x22C)
    let state = try fixture.load(
      TemporaryFile(image.bytes),
      [TemporaryFile([1, 2, 3]).path]
    )
    let place = try #require(state.placements.first { $0.name == "initrd" }).range
    #expect(place.lowerBound == GuestAddress(0x1FF_F000))
  }

  @Test func severalArchivesFollowEachOtherAtMultiplesOfFour() throws {
    let fixture = try BootFixture()
    let first = try TemporaryFile([1, 2, 3, 4, 5])
    let second = try TemporaryFile([6, 7])
    let state = try fixture.load(
      TemporaryFile(Images.bzImage().bytes),
      [first.path, second.path]
    )
    let place = try #require(state.placements.first { $0.name == "initrd" }).range
    #expect(
      try fixture.memory.read(at: place.lowerBound, count: Int(place.byteCount))
        == [1, 2, 3, 4, 5, 0, 0, 0, 6, 7]
    )
  }

  @Test func loadingAgainGivesTheSameMemory() throws {
    let fixture = try BootFixture()
    let kernel = try TemporaryFile(Images.bzImage().bytes)
    let loader = try Bootloader(BootRequest(kernel: kernel.path, commandLine: "a b"))
    let first = try loader.load(into: fixture.memory, map: fixture.map, rsdp: nil)
    let page = try fixture.memory.read(at: GuestAddress(0x7000), count: 4096)
    try fixture.memory.write([UInt8](repeating: 0xFF, count: 0x3_0000), at: GuestAddress(0))

    let second = try loader.load(into: fixture.memory, map: fixture.map, rsdp: nil)

    #expect(first == second)
    #expect(try fixture.memory.read(at: GuestAddress(0x7000), count: 4096) == page)
  }

  @Test func aCommandLineLongerThanTheKernelTakesIsRefused() throws {
    let fixture = try BootFixture()
    let kernel = try TemporaryFile(Images.bzImage().bytes)
    _ = try fixture.load(kernel, [], String(repeating: "x", count: 2047))
    let error = #expect(throws: BootError.self) {
      try fixture.load(kernel, [], String(repeating: "x", count: 2048))
    }
    #expect(
      error?.description
        == "command line of 2048 bytes; this kernel takes at most 2047; shorten --append"
    )
  }

  @Test func aKernelThatNeedsMoreMemorySaysHowMuch() throws {
    let fixture = try BootFixture(size: 16 << 20)
    let kernel = try TemporaryFile(Images.bzImage().bytes)
    let error = #expect(throws: BootError.self) { try fixture.load(kernel) }
    #expect(
      error
        == .beyondMemory(item: kernel.path, end: 0x110_0000, memoryEnd: 0x100_0000)
    )
    #expect(error?.description.hasSuffix("give it at least 17M with --memory") == true)
  }

  @Test func anInitrdThatDoesNotFitSaysBetweenWhat() throws {
    let fixture = try BootFixture(size: 18 << 20)
    let initrd = try TemporaryFile([UInt8](repeating: 1, count: 1 << 20 | 1))
    let error = #expect(throws: BootError.self) {
      try fixture.load(TemporaryFile(Images.bzImage().bytes), [initrd.path])
    }
    #expect(error?.description.contains("1048577 bytes do not fit") == true)
    #expect(error?.description.contains("--memory") == true)
  }

  @Test(arguments: [
    (0x206, 0x20B, "boot protocol 2.11"), (0x236, 2, "32-bit kernel"), (0x201, 0x10, "header ends"),
    (0x232, 0x0101, "power of two"), (0x211, 0, "zImage"),
  ])
  func aKernelWithoutWhatIsNeededIsRefused(offset: Int, value: Int, words: String) throws {
    var image = Images.bzImage()
    image.put(UInt8(value & 0xFF), at: offset)
    if value > 0xFF { image.put(UInt8(value >> 8), at: offset + 1) }
    let kernel = try TemporaryFile(image.bytes)
    let error = #expect(throws: BootError.self) { try Bootloader(BootRequest(kernel: kernel.path)) }
    #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
  }
}
