import Glibc
import GuestMemory
import HostOS
import Testing
import TestSupport

/// Memory that belongs to another process.
@Suite struct SharedMemoryTests {
  let fault: EventFD

  init() throws { fault = try EventFD() }

  func map(
    _ file: MemoryFile,
    offset: UInt64 = 0,
    count: UInt64
  ) throws -> SharedMapping {
    try SharedMapping(of: file.descriptor, offset: offset, count: count, fault: fault)
  }

  /// `count` regions of two pages, with a page between each and the next, each in a file of its own.
  func makeMemory(_ count: Int) throws -> (GuestMemory, [MemoryFile]) {
    let files = try (0..<count).map { _ in try MemoryFile(count: 0x2000) }
    let regions = try files.enumerated().map { index, file in
      SharedRegion(
        start: GuestAddress(0x1000 + 0x3000 * UInt64(index)),
        mapping: try map(file, count: 0x2000)
      )
    }
    return (GuestMemory(shared: regions.reversed()), files)
  }

  @Test(arguments: [1, 2, 3, 4, 5, 7, 8, 9, 32, 100])
  func everyRegionIsFoundAndNothingBetweenThem(count: Int) throws {
    let (memory, files) = try makeMemory(count)

    for index in 0..<count {
      let start = 0x1000 + 0x3000 * UInt64(index)
      try memory.store64(UInt64(index) + 1, at: GuestAddress(start))
      try memory.store8(UInt8(index) + 1, at: GuestAddress(start + 0x1FFF))
      #expect(!memory.contains(GuestAddress(start - 1), count: 1))
      #expect(!memory.contains(GuestAddress(start + 0x2000), count: 1))
      #expect(throws: GuestMemoryError.self) {
        try memory.load16(at: GuestAddress(start + 0x1FFF))
      }
    }

    for (index, file) in files.enumerated() {
      #expect(try file.bytes(at: 0, count: 1) == [UInt8(index) + 1])
      #expect(try file.bytes(at: 0x1FFF, count: 1) == [UInt8(index) + 1])
    }
    #expect(!memory.contains(GuestAddress(.max), count: 1))
    #expect(memory.file.borrow { $0.rawValue } == nil)
  }

  @Test func noRegionIsNoMemory() throws {
    let memory = GuestMemory(shared: [])
    #expect(!memory.contains(GuestAddress(0), count: 1))
    #expect(throws: GuestMemoryError.self) { try memory.load8(at: GuestAddress(0)) }
  }

  @Test func anAccessGoesOnInTheNextRegionWhereTheyTouch() throws {
    let files = [try MemoryFile(count: 0x1000), try MemoryFile(count: 0x1000)]
    let memory = GuestMemory(shared: [
      SharedRegion(start: GuestAddress(0x1000), mapping: try map(files[0], count: 0x1000)),
      SharedRegion(start: GuestAddress(0x2000), mapping: try map(files[1], count: 0x1000)),
    ])

    try memory.write([1, 2, 3, 4], at: GuestAddress(0x1FFE))

    #expect(try files[0].bytes(at: 0xFFE, count: 2) == [1, 2])
    #expect(try files[1].bytes(at: 0, count: 2) == [3, 4])
  }

  @Test(arguments: [0, 0x1000, 0x1234, 0x1001] as [UInt64])
  func aRegionBeginsAnywhereInItsFile(offset: UInt64) throws {
    let file = try MemoryFile(count: 0x8000)
    let memory = GuestMemory(shared: [
      SharedRegion(start: GuestAddress(0), mapping: try map(file, offset: offset, count: 0x3000))
    ])

    try memory.store8(7, at: GuestAddress(0x2FFF))

    #expect(try file.bytes(at: Int(offset) + 0x2FFF, count: 1) == [7])
    #expect(!memory.contains(GuestAddress(0x3000), count: 1))
  }

  @Test(
    arguments: [
      (0, 0), (0, 0x1001), (0x1000, 1), (0x1001, 0), (1, 0x1000), (.max, 1), (1, .max),
      (.max - 1, 0x1000), (1 << 63, 0x1000), (0, 1 << 63),
    ] as [(UInt64, UInt64)]
  )
  func whatIsNotAllInTheFileIsRefused(offset: UInt64, count: UInt64) throws {
    let file = try MemoryFile(count: 0x1000)
    #expect(throws: SharedMappingError.tooShort(offset: offset, count: count, size: 0x1000)) {
      try map(file, offset: offset, count: count)
    }
  }

  @Test func whatIsNoFileIsRefused() throws {
    let pair = try SocketPair()
    #expect(throws: SharedMappingError.notMemory(.streamSocket)) {
      try SharedMapping(of: pair.near, offset: 0, count: 0x1000, fault: fault)
    }
  }

  @Test func aFileThatIsCutShortReadsAsZeroesAndTheProcessLives() throws {
    let file = try MemoryFile(count: 0x4000)
    let mapping = try map(file, count: 0x4000)
    let memory = GuestMemory(shared: [SharedRegion(start: GuestAddress(0), mapping: mapping)])
    try memory.store32(1, at: GuestAddress(0))
    try memory.store32(2, at: GuestAddress(0x3000))
    #expect(!mapping.isBroken)

    try file.truncate(to: 0x1000)

    #expect(try memory.load32(at: GuestAddress(0)) == 1)
    #expect(!mapping.isBroken)
    #expect(try memory.load32(at: GuestAddress(0x3000)) == 0)
    #expect(mapping.isBroken)
    #expect(fault.drain() == 1)
    // What is written there is nobody's, but stays for as long as the mapping.
    try memory.store32(5, at: GuestAddress(0x2FFE))
    #expect(try memory.load32(at: GuestAddress(0x2FFE)) == 5)
    #expect(try file.bytes(at: 0, count: 0x4000).count == 0x1000)
  }

  @Test func hostInputIntoAPageThatIsGoneFailsAndTheProcessLives() throws {
    let folder = try TemporaryFolder()
    let path = try folder.file("data", [UInt8](repeating: 7, count: 0x1000))
    let data = try OwnedFileDescriptor(opening: path, O_RDONLY)
    let file = try MemoryFile(count: 0x1000)
    let memory = GuestMemory(shared: [
      SharedRegion(start: GuestAddress(0), mapping: try map(file, count: 0x1000))
    ])
    var vector = GuestIOVector(memory)
    try vector.append(GuestAddress(0), count: 0x1000)
    try file.truncate(to: 0)

    var failure: SystemError?
    do throws(SystemError) {
      _ = try vector.read(from: data.rawValue, at: 0)
    } catch {
      failure = error
    }

    #expect(failure?.code == EFAULT)
  }

  @Test func aFaultElsewhereStillKills() async {
    await #expect(processExitsWith: .signal(SIGBUS)) {
      let fault = try EventFD()
      let watched = try MemoryFile(count: 0x1000)
      let mapping = try SharedMapping(
        of: watched.descriptor,
        offset: 0,
        count: 0x1000,
        fault: fault
      )
      // A mapping that nobody watches.
      let file = try MemoryFile(count: 0x1000)
      let other = try MemoryMapping(of: file.descriptor, count: 0x1000)
      try file.truncate(to: 0)
      withExtendedLifetime(mapping) { other.address.storeBytes(of: 1, as: UInt8.self) }
    }
  }
}
