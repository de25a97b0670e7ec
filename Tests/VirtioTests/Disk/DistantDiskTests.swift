import GuestMemory
import Synchronization
import TestSupport
import Testing

@testable import Virtio

/// A disk whose driver's memory is not mapped, so that its requests need buffers of their own.
@Suite(.timeLimit(.minutes(5))) struct DistantDiskTests {
  /// Has the memory; of long writes it only counts the bytes.
  private final class Peer: GuestMemoryPeer {
    let memory: GuestMemory
    let longCount = Atomic<UInt64>(0)

    init(_ memory: GuestMemory) { self.memory = memory }

    func read(at address: GuestAddress, count: Int) -> [UInt8]? {
      try? memory.read(at: address, count: count)
    }

    func write(_ bytes: [UInt8], at address: GuestAddress) -> Bool {
      guard bytes.count < 4096 else {
        longCount.add(UInt64(bytes.count), ordering: .relaxed)
        return true
      }
      return (try? memory.write(bytes, at: address)) != nil
    }
  }

  /// Ends each request only after all were begun that there are.
  private final class LateEngine: DiskEngine {
    private let disk: Disk
    private var pending: [Int] = []

    init(_ disk: Disk) { self.disk = disk }

    var completions: Int32? { nil }
    var hasCompletions: Bool { false }
    var isBusy: Bool { !pending.isEmpty }

    func start(_ index: Int) -> Bool {
      pending.append(index)
      disk.most.max(pending.count, ordering: .relaxed)
      return false
    }

    func submit() {}
    func takeEnded() -> Int? { pending.isEmpty ? nil : pending.removeFirst() }
    func wait() {}
  }

  /// A disk of zeroes.
  private final class Disk: DiskStorage {
    let most = Atomic(0)
    let path = "late"
    let count: UInt64 = 256 << 20
    let isReadOnly = false
    let logicalBlockSize: UInt64 = 512
    let physicalBlockSize: UInt64 = 512
    let canDiscard = false
    let canZero = false
    let notice: String? = nil

    func measure() -> UInt64 { count }
    func makeEngine(_ requests: DiskRequests, _ log: LimitedLog) -> any DiskEngine {
      LateEngine(self)
    }
  }

  private let memory: GuestMemory
  private let peer: Peer
  private let disk = Disk()
  private let log = RecordedLog()
  private let controller: VirtioDeviceController
  private let driver: MockDriver

  init() throws {
    let memory = try GuestMemory(count: 64 << 20)
    peer = Peer(memory)
    let all = DistantMemory.Range(start: GuestAddress(0), count: 64 << 20)
    controller = try VirtioDeviceController(
      Block(storage: disk, name: "disk", options: .init(), threads: [], polling: .off),
      memory: GuestMemory(shared: [], distant: DistantMemory([all], of: peer)),
      interrupts: RecordingInterrupts(),
      logger: log.makeLogger()
    )
    self.memory = memory
    driver = MockDriver(DirectTransport(controller), in: memory)
  }

  private func statuses(
    _ count: Int,
    of size: UInt32,
    pieces: Int = 1,
    _ queue: MockQueue
  ) throws -> [UInt8] {
    let place = try driver.allocate(64 * count, alignment: 64)
    for number in 0..<UInt64(count) {
      let header = place &+ 64 * number
      try memory.store64(0, at: header)
      try memory.store64(0, at: header &+ 8)
      try memory.store8(0xFF, at: header &+ 16)
      let data = [MockBuffer](repeating: .writable(32 << 20, size), count: pieces)
      try queue.add(
        [.readable(header.rawValue, 16)] + data + [.writable(header.rawValue + 16, 1)]
      )
    }
    try driver.kick(0, queue)
    for _ in 0..<count { _ = try driver.waitForUsed(queue) }
    return try (0..<UInt64(count)).map { try memory.load8(at: place &+ (64 * $0 + 16)) }
  }

  @Test func requestsWaitUntilThereIsRoomForTheirBuffers() throws {
    try driver.negotiate(without: .packedRing)
    let queue = try driver.makeQueue(0)
    driver.start()
    // 384 MiB, of which 256 can be under way.
    #expect(try statuses(12, of: 32 << 20, queue) == .init(repeating: 0, count: 12))
    #expect(disk.most.load(ordering: .relaxed) == 7)
    #expect(peer.longCount.load(ordering: .relaxed) == 384 << 20)
    #expect(log.notices.isEmpty)
  }

  @Test func whatIsAnsweredTakesNoRoom() throws {
    try driver.negotiate(without: .packedRing)
    let queue = try driver.makeQueue(0)
    driver.start()
    // Each of the first has had a place of its own, which the next one is not given.
    #expect(try statuses(7, of: 32 << 20, queue) == .init(repeating: 0, count: 7))
    #expect(try statuses(1, of: 32 << 20, pieces: 4, queue) == [0])
    #expect(try statuses(1, of: 0, queue) == [0])
    #expect(try statuses(7, of: 32 << 20, queue) == .init(repeating: 0, count: 7))
  }
}
