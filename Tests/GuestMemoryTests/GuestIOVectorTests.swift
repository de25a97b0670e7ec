import Glibc
import GuestMemory
import HostOS
import TestSupport
import Testing

/// Host I/O to and from scattered guest ranges, on real files.
@Suite struct GuestIOVectorTests {
  /// 0x1000 to 0x5000 in two regions that touch, and 0x8000 to 0x10000.
  static func makeMemory() throws -> GuestMemory {
    try GuestMemory([
      (GuestAddress(0x1000), 0x2000), (GuestAddress(0x3000), 0x2000),
      (GuestAddress(0x8000), 0x8000),
    ])
  }

  static func pattern(_ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 13 &+ $0 >> 8) }
  }

  /// A temporary file with its descriptor.
  final class File {
    let folder: TemporaryFolder
    let path: String
    let descriptor: OwnedFileDescriptor

    init(_ bytes: [UInt8]) throws {
      folder = try TemporaryFolder()
      path = try folder.file("data", bytes)
      descriptor = try OwnedFileDescriptor(opening: path, O_RDWR)
    }

    var number: Int32 { descriptor.rawValue }
    func bytes() throws -> [UInt8] { try folder.bytes(at: path) }
  }

  @Test func aReadScattersTheFileOverTheRanges() throws {
    let memory = try Self.makeMemory()
    let file = try File(Self.pattern(0x2000))
    var vector = GuestIOVector(memory)
    try vector.append(GuestAddress(0x2F00), count: 0x200)  // across the regions
    try vector.append(GuestAddress(0x8000), count: 1)
    try vector.append(GuestAddress(0x1001), count: 0x300)
    #expect(vector.count == 0x501)

    #expect(try vector.read(from: file.number, at: 0x100) == 0x501)

    let expected = Self.pattern(0x2000)
    #expect(
      try memory.read(at: GuestAddress(0x2F00), count: 0x200) == Array(expected[0x100..<0x300])
    )
    #expect(try memory.load8(at: GuestAddress(0x8000)) == expected[0x300])
    #expect(
      try memory.read(at: GuestAddress(0x1001), count: 0x300) == Array(expected[0x301..<0x601])
    )
    #expect(try memory.load8(at: GuestAddress(0x1000)) == 0)
    #expect(try memory.load8(at: GuestAddress(0x8001)) == 0)
  }

  @Test func aWriteGathersTheRangesIntoTheFile() throws {
    let memory = try Self.makeMemory()
    let file = try File([UInt8](repeating: 0xEE, count: 16))
    try memory.write(Self.pattern(0x400), at: GuestAddress(0x2E00))
    try memory.write([1, 2, 3], at: GuestAddress(0x9000))
    var vector = GuestIOVector(memory)
    try vector.append(GuestAddress(0x9000), count: 3)
    try vector.append(GuestAddress(0x2E00), count: 0x400)

    #expect(try vector.write(to: file.number, at: 8) == 0x403)

    #expect(
      try file.bytes() == [UInt8](repeating: 0xEE, count: 8) + [1, 2, 3] + Self.pattern(0x400)
    )
  }

  @Test(arguments: [0, 1, 0xFFF, 0x1000, 0x1FFF])
  func aReadPastTheEndOfTheFileGivesWhatIsThere(size: Int) throws {
    let memory = try Self.makeMemory()
    let file = try File(Self.pattern(size))
    try memory.write([UInt8](repeating: 0xEE, count: 0x2000), at: GuestAddress(0x2000))
    var vector = GuestIOVector(memory)
    try vector.append(GuestAddress(0x2000), count: 0x2000)

    #expect(try vector.read(from: file.number, at: 0) == UInt64(size))

    let expected = Self.pattern(size) + [UInt8](repeating: 0xEE, count: 0x2000 - size)
    #expect(try memory.read(at: GuestAddress(0x2000), count: 0x2000) == expected)
  }

  @Test func aReadFarPastTheEndOfTheFileGivesNothing() throws {
    let memory = try Self.makeMemory()
    let file = try File([1])
    var vector = GuestIOVector(memory)
    try vector.append(GuestAddress(0x1000), count: 16)

    #expect(try vector.read(from: file.number, at: 1 << 40) == 0)
  }

  /// More than the kernel takes at once, so that there are several calls.
  @Test func thousandsOfSegmentsAreTransferredInOrder() throws {
    let memory = try Self.makeMemory()
    let count = 3 * GuestIOVector.segmentLimit + 7
    let file = try File(Self.pattern(count))
    var reading = GuestIOVector(memory)
    var writing = GuestIOVector(memory)
    // Backwards, so that no two segments could become one.
    for index in 0..<count {
      try reading.append(GuestAddress(0xFFFF - UInt64(index)), count: 1)
      try writing.append(GuestAddress(0xFFFF - UInt64(index)), count: 1)
    }

    #expect(try reading.read(from: file.number, at: 0) == UInt64(count))
    #expect(try writing.write(to: file.number, at: UInt64(count)) == UInt64(count))

    let backwards = try memory.read(at: GuestAddress(0x1_0000 - UInt64(count)), count: count)
    #expect(Array(backwards.reversed()) == Self.pattern(count))
    #expect(try file.bytes() == Self.pattern(count) + Self.pattern(count))
  }

  /// A limit on the file's size makes the kernel stop in the middle of a segment; it must not signal.
  @Test func aWriteThatTheFileDoesNotTakeWholeIsTheHostsErrorAfterWhatItTook() async {
    await #expect(processExitsWith: .success) {
      signal(SIGXFSZ, SIG_IGN)
      // The limit holds for the memory file too, which exists by then.
      let memory = try GuestIOVectorTests.makeMemory()
      var limit = rlimit(rlim_cur: 0x1800, rlim_max: 0x1800)
      guard setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0 else { exit(2) }
      try memory.write(GuestIOVectorTests.pattern(0x2000), at: GuestAddress(0x2000))
      let file = try File([])
      var vector = GuestIOVector(memory)
      try vector.append(GuestAddress(0x2000), count: 0x2000)
      do {
        _ = try vector.write(to: file.number, at: 0)
        exit(3)
      } catch let error as SystemError {
        guard error.call == "pwritev", error.code == EFBIG else { exit(4) }
      }
      let taken = try file.bytes()
      exit(taken == Array(GuestIOVectorTests.pattern(0x1800)) ? 0 : 5)
    }
  }

  @Test func aListThatWasEmptiedCanBeUsedAgain() throws {
    let memory = try Self.makeMemory()
    let file = try File(Self.pattern(64))
    var vector = GuestIOVector(memory)
    try vector.append(GuestAddress(0x1000), count: 32)
    _ = try vector.read(from: file.number, at: 0)

    vector.removeAll()
    #expect(vector.count == 0)
    try vector.append(GuestAddress(0x8000), count: 16)
    #expect(try vector.read(from: file.number, at: 32) == 16)

    #expect(
      try memory.read(at: GuestAddress(0x8000), count: 16) == Array(Self.pattern(64)[32..<48])
    )
  }

  @Test func anEmptyListTransfersNothing() throws {
    let file = try File([1, 2])
    var vector = GuestIOVector(try Self.makeMemory())
    try vector.append(GuestAddress(.max), count: 0)

    #expect(try vector.read(from: file.number, at: 0) == 0)
    #expect(try vector.write(to: file.number, at: 0) == 0)

    #expect(try file.bytes() == [1, 2])
  }

  @Test(
    arguments: [(0x4FFF, 2), (0x5000, 1), (0, 1), (.max, 1), (0x1000, .max), (0x8000, 1 << 62)]
      as [(UInt64, UInt64)]
  )
  func aRangeThatLeavesRAMIsRefusedAndTheListKeepsWhatItHad(
    address: UInt64,
    count: UInt64
  ) throws {
    let memory = try Self.makeMemory()
    let file = try File([7, 8])
    var vector = GuestIOVector(memory)
    try vector.append(GuestAddress(0x1000), count: 2)

    #expect(throws: GuestMemoryError(address: GuestAddress(address), count: count)) {
      try vector.append(GuestAddress(address), count: count)
    }

    #expect(vector.count == 2)
    #expect(try vector.read(from: file.number, at: 0) == 2)
    #expect(try memory.load16(at: GuestAddress(0x1000)) == 0x0807)
  }

  @Test(arguments: [UInt64.max, 1 << 63])
  func anOffsetThatNoFileHasIsTheHostsError(offset: UInt64) throws {
    let file = try File([1])
    var vector = GuestIOVector(try Self.makeMemory())
    try vector.append(GuestAddress(0x1000), count: 1)

    #expect(throws: SystemError.self) { try vector.read(from: file.number, at: offset) }
    #expect(throws: SystemError.self) { try vector.write(to: file.number, at: offset) }
  }

  @Test func aDescriptorThatCannotBeReadIsTheHostsError() throws {
    let file = try File([1])
    let writeOnly = try OwnedFileDescriptor(opening: file.path, O_WRONLY)
    var vector = GuestIOVector(try Self.makeMemory())
    try vector.append(GuestAddress(0x1000), count: 1)

    let error = try #require(throws: SystemError.self) {
      try vector.read(from: writeOnly.rawValue, at: 0)
    }

    #expect(error.call == "preadv")
    #expect(error.code == EBADF)
  }

  @Test func oneCallMovesNoMoreThanItIsTold() throws {
    let memory = try Self.makeMemory()
    let file = try File(Self.pattern(0x2000))
    var vector = GuestIOVector(memory)
    try vector.append(GuestAddress(0x2F00), count: 0x200)  // across the regions
    try vector.append(GuestAddress(0x8000), count: 0x100)

    #expect(vector.readPart(from: file.number, at: 0, atMost: 0x180) == 0x180)
    #expect(try memory.load8(at: GuestAddress(0x3080)) == 0)
    #expect(vector.count == 0x300)
    vector.skip(0x180)
    #expect(vector.count == 0x180)
    #expect(vector.readPart(from: file.number, at: 0x180, atMost: 1 << 40) == 0x180)
    vector.skip(0x180)

    let expected = Self.pattern(0x2000)
    let first = try memory.read(at: GuestAddress(0x2F00), count: 0x200)
    let second = try memory.read(at: GuestAddress(0x8000), count: 0x100)
    #expect(first + second == Array(expected[..<0x300]))
    #expect(vector.readPart(from: file.number, at: 0) == 0)
    #expect(vector.writePart(to: 9999, at: 0) == 0)
  }

  @Test func aCallThatFailsIsItsErrno() throws {
    var vector = GuestIOVector(try Self.makeMemory())
    try vector.append(GuestAddress(0x1000), count: 16)

    #expect(vector.readPart(from: 9999, at: 0) == Int(-EBADF))
    #expect(vector.writePart(to: 9999, at: 0) == Int(-EBADF))
    #expect(vector.readPart(from: 9999, at: .max) == Int(-EINVAL))
  }
}
