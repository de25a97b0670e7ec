import Glibc
import GuestMemory
import HostOS
import Synchronization
import TestSupport
import Testing

/// Memory that is not mapped, but asked for.
@Suite struct DistantMemoryTests {
  /// Has the memory, counts what it is asked, and may refuse.
  private final class Peer: GuestMemoryPeer {
    let memory: GuestMemory
    let asked = Mutex<[String]>([])
    let isRefusing = Atomic(false)

    init(_ memory: GuestMemory) { self.memory = memory }

    func read(at address: GuestAddress, count: Int) -> [UInt8]? {
      asked.withLock { $0.append("read \(address) \(count)") }
      return isRefusing.load(ordering: .relaxed) ? nil : try? memory.read(at: address, count: count)
    }

    func write(_ bytes: [UInt8], at address: GuestAddress) -> Bool {
      asked.withLock { $0.append("write \(address) \(bytes.count)") }
      guard !isRefusing.load(ordering: .relaxed) else { return false }
      return (try? memory.write(bytes, at: address)) != nil
    }
  }

  private let peer: Peer
  /// Two pages that are mapped at 0x1000, two distant ones that follow, and one at 0x8000.
  private let memory: GuestMemory
  private let fault: EventFD

  init() throws {
    fault = try EventFD()
    let file = try MemoryFile(count: 0x2000)
    peer = Peer(try GuestMemory([(GuestAddress(0), 0x10000)]))
    let mapping = try SharedMapping(of: file.descriptor, offset: 0, count: 0x2000, fault: fault)
    memory = GuestMemory(
      shared: [SharedRegion(start: GuestAddress(0x1000), mapping: mapping)],
      distant: DistantMemory(
        [
          DistantMemory.Range(start: GuestAddress(0x8000), count: 0x1000),
          DistantMemory.Range(start: GuestAddress(0x3000), count: 0x2000),
        ],
        of: peer
      )
    )
  }

  @Test func itIsPartOfRAM() {
    #expect(memory.contains(GuestAddress(0x1000), count: 0x4000))
    #expect(!memory.contains(GuestAddress(0x1000), count: 0x4001))
    #expect(memory.contains(GuestAddress(0x8000), count: 0x1000))
    #expect(!memory.contains(GuestAddress(0x7FFF), count: 1))
    #expect(memory.holds(GuestAddress(0x2FFF), count: 2))
    #expect(!memory.contains(GuestAddress(.max), count: 1))
  }

  @Test func eachWordIsAskedForAtOnce() throws {
    try memory.store64(0x1122_3344_5566_7788, at: GuestAddress(0x3008))
    #expect(try memory.load64(at: GuestAddress(0x3008)) == 0x1122_3344_5566_7788)
    #expect(try memory.load32(at: GuestAddress(0x3008)) == 0x5566_7788)
    #expect(try memory.load16(at: GuestAddress(0x300A)) == 0x5566)
    #expect(try memory.load8(at: GuestAddress(0x300F)) == 0x11)
    #expect(
      peer.asked.withLock { $0 } == [
        "write 0x3008 8", "read 0x3008 8", "read 0x3008 4", "read 0x300a 2", "read 0x300f 1",
      ]
    )
    #expect(try peer.memory.load64(at: GuestAddress(0x3008)) == 0x1122_3344_5566_7788)
  }

  @Test func wordsOfAWindowAreAskedForAnewEachTime() throws {
    let window = try #require(memory.window(GuestAddress(0x3000), count: 0x100))
    #expect(window.load16(2, in: memory) == 0)
    try peer.memory.store16(7, at: GuestAddress(0x3002))
    #expect(window.load16(2, in: memory) == 7)
    window.store32(9, 4, in: memory)
    #expect(try peer.memory.load32(at: GuestAddress(0x3004)) == 9)
  }

  @Test func whatLiesOnBothSidesIsPutTogether() throws {
    let bytes = (0..<0x100).map { UInt8($0) }
    try memory.write(bytes, at: GuestAddress(0x2F80))
    #expect(try memory.read(at: GuestAddress(0x2F80), count: 0x100) == bytes)
    #expect(try peer.memory.read(at: GuestAddress(0x3000), count: 0x80) == Array(bytes[0x80...]))
    #expect(try memory.load32(at: GuestAddress(0x2FFE)) == 0x8180_7F7E)
    try memory.store32(1, at: GuestAddress(0x2FFE))
    #expect(try memory.load32(at: GuestAddress(0x2FFE)) == 1)
    try memory.zero(GuestAddress(0x2FF0), count: 0x20)
    #expect(
      try memory.read(at: GuestAddress(0x2FF0), count: 0x20) == .init(repeating: 0, count: 0x20)
    )
  }

  @Test func whatIsRefusedIsAnError() throws {
    peer.isRefusing.store(true, ordering: .relaxed)
    let error = GuestMemoryError(address: GuestAddress(0x3000), count: 4)
    #expect(throws: error) { try memory.load32(at: GuestAddress(0x3000)) }
    #expect(throws: error) { try memory.store32(1, at: GuestAddress(0x3000)) }
    #expect(throws: error) { try memory.read(at: GuestAddress(0x3000), count: 4) }
    var vector = GuestIOVector(memory)
    try vector.append(GuestAddress(0x1000), count: 0x10)
    var failure: GuestMemoryError?
    do throws(GuestMemoryError) {
      try vector.append(GuestAddress(0x2FF0), count: 0x20, isRead: true)
    } catch { failure = error }
    #expect(failure == GuestMemoryError(address: GuestAddress(0x2FF0), count: 0x20))
    let count = vector.count
    #expect(count == 0x10)
  }

  @Test func hostInputReachesItOnceItIsNoted() throws {
    let folder = try TemporaryFolder()
    let bytes = (0..<0x30).map { UInt8($0) + 1 }
    let file = try OwnedFileDescriptor(opening: try folder.file("data", bytes), O_RDWR)
    var vector = GuestIOVector(memory)
    try vector.append(GuestAddress(0x2FF0), count: 0x20)
    try vector.append(GuestAddress(0x8000), count: 0x10)
    let isAligned = vector.isAligned(to: 16, blocks: 16)
    #expect(isAligned)

    let count = try vector.read(from: file.rawValue, at: 0)

    #expect(count == 0x30)

    #expect(try memory.read(at: GuestAddress(0x2FF0), count: 0x20) == Array(bytes[..<0x20]))
    #expect(try peer.memory.read(at: GuestAddress(0x8000), count: 0x10) == Array(bytes[0x20...]))
  }

  @Test func hostOutputIsWhatWasThereWhenItWasAppended() throws {
    let folder = try TemporaryFolder()
    let path = try folder.file("data", [])
    let file = try OwnedFileDescriptor(opening: path, O_RDWR)
    let bytes = (0..<0x40).map { UInt8($0) + 1 }
    try memory.write(bytes, at: GuestAddress(0x2FE0))
    var vector = GuestIOVector(memory)
    try vector.append(GuestAddress(0x2FE0), count: 0x40, isRead: true)

    let count = try vector.write(to: file.rawValue, at: 0)

    #expect(count == 0x40)

    #expect(try folder.bytes(at: path) == bytes)
  }

  @Test func aMessageAndWhatIsLeftOfTheRangesGoToTheirPlaces() throws {
    let pair = try SocketPair()
    var vector = GuestIOVector(memory)
    try vector.append(GuestAddress(0x2FF8), count: 0x10)
    try vector.append(GuestAddress(0x8000), count: 0x10)
    vector.removeFirst(0xC)
    var overflow = [UInt8](repeating: 0, count: 4)
    try FileIO.writeAll(pair.far.rawValue, [1, 2, 3, 4, 5, 6])

    let count = try vector.receive(from: pair.near.rawValue, overflow: &overflow)

    #expect(count == 6)
    #expect(try peer.memory.read(at: GuestAddress(0x3004), count: 4) == [1, 2, 3, 4])
    #expect(try peer.memory.read(at: GuestAddress(0x8000), count: 4) == [5, 6, 0, 0])
    unsafe vector.store(([9] as [UInt8]).span.bytes, at: 4)
    #expect(try peer.memory.read(at: GuestAddress(0x8000), count: 2) == [9, 6])
    // Nothing but what came was written.
    #expect(peer.asked.withLock { $0.contains("write 0x8000 2") })
  }

  @Test func buffersTakeABoundedAmountOfMemory() throws {
    let count = UInt64(64 << 20)
    let memory = GuestMemory(
      shared: [],
      distant: DistantMemory([DistantMemory.Range(start: GuestAddress(0), count: count)], of: peer)
    )
    var vector = GuestIOVector(memory)
    for _ in 0..<4 { try vector.append(GuestAddress(0), count: count) }
    var isRefused = false
    do { try vector.append(GuestAddress(0), count: 0x1000) } catch { isRefused = true }
    #expect(isRefused)
    vector.removeAll()
    try vector.append(GuestAddress(0), count: 0x1000)
  }
}
