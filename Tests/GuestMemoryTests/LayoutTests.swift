import Glibc
import GuestMemory
import HostOS
import Testing

/// How memory is made.
@Suite struct LayoutTests {
  static func number(of memory: GuestMemory) -> Int32 {
    memory.file.borrow { $0.rawValue } ?? -1
  }

  /// What the memory file takes up in the host, in bytes.
  static func used(_ memory: GuestMemory) throws -> Int {
    var status = stat()
    try #require(fstat(Self.number(of: memory), &status) == 0)
    return Int(status.st_blocks) * 512
  }

  @Test func sixtyFourGibibytesTakeNothingUntilTheyAreUsed() throws {
    let gibibyte: UInt64 = 1 << 30
    let memory = try GuestMemory([
      (GuestAddress(0), 3 * gibibyte), (GuestAddress(4 * gibibyte), 61 * gibibyte),
    ])
    #expect(try Self.used(memory) == 0)

    let last = GuestAddress(65 * gibibyte - 8)
    try memory.store64(0x1234, at: last)

    #expect(try memory.load64(at: last) == 0x1234)
    // One page, or a huge page where the host makes them of its own accord.
    #expect(try Self.used(memory) <= 2 << 20)
  }

  @Test func theFileHoldsTheRegionsInOrder() throws {
    let memory = try GuestMemory([(GuestAddress(0x1000), 0x1000), (GuestAddress(0x9000), 0x2000)])

    try memory.write(Array("high".utf8), at: GuestAddress(0xA000))

    var bytes = [UInt8](repeating: 0, count: 4)
    #expect(pread(Self.number(of: memory), &bytes, 4, 0x2000) == 4)
    #expect(bytes == Array("high".utf8))
    var status = stat()
    #expect(fstat(Self.number(of: memory), &status) == 0)
    #expect(status.st_size == 0x3000)
  }

  @Test func moreMemoryThanAFileCanHaveIsTheHostsError() {
    #expect(throws: SystemError.self) {
      try GuestMemory([(GuestAddress(0), 1 << 62), (GuestAddress(1 << 62), 3 << 61)])
    }
  }

  /// The pages are reserved when memory is made: a page that is missing later would kill the process.
  ///
  /// More than any host has, so that the pool is too small everywhere.
  @Test func aPoolOfHugePagesThatIsTooSmallIsTheHostsErrorAtOnce() throws {
    let error = try #require(throws: SystemError.self) {
      try GuestMemory(
        [(GuestAddress(0), 1 << 45)],
        options: GuestMemory.Options(usesHugePages: true)
      )
    }
    // Without huge pages in the kernel, the file cannot be made.
    #expect(["mmap", "memfd_create"].contains(error.call))
    #expect(error.code == ENOMEM || error.call == "memfd_create")
  }

  @Test func noRegionsAreABug() async {
    await #expect(processExitsWith: .failure) { _ = try GuestMemory([]) }
  }

  @Test func anEmptyRegionIsABug() async {
    await #expect(processExitsWith: .failure) { _ = try GuestMemory(count: 0) }
  }

  @Test func aRegionThatIsNotOfWholePagesIsABug() async {
    await #expect(processExitsWith: .failure) { _ = try GuestMemory(count: 0x1800) }
  }

  @Test func aRegionThatDoesNotStartAtAPageIsABug() async {
    await #expect(processExitsWith: .failure) {
      _ = try GuestMemory([(GuestAddress(0x800), 0x1000)])
    }
  }

  @Test func overlappingRegionsAreABug() async {
    await #expect(processExitsWith: .failure) {
      _ = try GuestMemory([(GuestAddress(0), 0x2000), (GuestAddress(0x1000), 0x1000)])
    }
  }

  @Test func regionsOutOfOrderAreABug() async {
    await #expect(processExitsWith: .failure) {
      _ = try GuestMemory([(GuestAddress(0x2000), 0x1000), (GuestAddress(0), 0x1000)])
    }
  }

  @Test func aRegionPastTheEndOfAllAddressesIsABug() async {
    await #expect(processExitsWith: .failure) {
      _ = try GuestMemory([(GuestAddress(0xFFFF_FFFF_FFFF_F000), 0x1000)])
    }
  }

  @Test func nobodyWhoHasTheFileCanCutItOrSealIt() throws {
    let memory = try GuestMemory(count: 0x2000)
    let number = try #require(memory.file.borrow { $0.rawValue })
    #expect(ftruncate(number, 0x1000) == -1)
    #expect(errno == EPERM)
    #expect(ftruncate(number, 0x3000) == -1)
    // F_ADD_SEALS with F_SEAL_FUTURE_WRITE: whoever came later could not write.
    #expect(fcntl(number, 1033, 0x10) == -1)
    #expect(errno == EPERM)
  }
}
