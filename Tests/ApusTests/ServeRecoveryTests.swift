import Glibc
import GuestMemory
import HostOS
import TestSupport
import Testing
import Virtio

/// A disk's process that is killed while requests are under way, and started again.
@Suite(.needsBinary) struct ServeRecoveryTests {
  @Test(arguments: [[], .packedRing] as [VirtioFeatures])
  func everyRequestIsCompletedOnce(without: VirtioFeatures) async throws {
    try await Program.onThread {
      let load = try Load(without: without)
      for _ in 0..<20 {
        var child = try load.startServer()
        try load.connect()
        try load.run(for: .milliseconds(Int.random(in: 1...30)))
        child.signal(SIGKILL)
        #expect(child.wait() == .signalled(SIGKILL))
        load.disconnect()
      }
      let child = try load.startServer()
      try load.connect()
      try load.finish()
      withExtendedLifetime(child) {}

      #expect(load.failures == [])
      #expect(load.count > 1000)
      #expect(try load.contents() == load.expected)
    }
  }
}

/// A driver that writes to a disk without pause, and keeps account of what it gets back.
private final class Load {
  private static let slots = 32
  private static let size: UInt16 = 128

  private let folder: TemporaryFolder
  private let disk: String
  private let socket: String
  private let memory: GuestMemory
  private let without: VirtioFeatures
  private var frontEnd: VhostUserFrontEnd?
  private var queue: MockQueue?
  private var inflight: OwnedFileDescriptor?
  private var inflightPayload: [UInt8] = []
  /// The slot of each chain that is out, by the number that comes back.
  private var out: [UInt32: Int] = [:]
  private var free = Array(0..<Load.slots)
  private var sequence: UInt64 = 0
  /// What each sector should hold.
  private(set) var expected = [UInt64](repeating: 0, count: Load.slots)
  private(set) var failures: [String] = []
  private(set) var count = 0

  init(without: VirtioFeatures) throws {
    folder = try TemporaryFolder()
    disk = try folder.file("disk", [UInt8](repeating: 0, count: 512 * Self.slots))
    socket = folder.path(of: "socket")
    memory = try GuestMemory(count: 4 << 20)
    self.without = without
  }

  func startServer() throws -> ChildProcess {
    let child = try ChildProcess(
      try Given.binary(),
      ["apus", "serve", "disk", disk, "--vhost-user", socket],
      environment: [],
      descriptors: [0, 1, 1]
    )
    // The one before left its socket file, where nobody listens.
    let isThere = waitUntil { (try? UnixConnection.make(socket)) != nil }
    guard isThere else { throw VhostUserFrontEnd.Failure.timeout }
    return child
  }

  /// Does what QEMU does when a back end is there again.
  func connect() throws {
    let front = try VhostUserFrontEnd(UnixConnection.make(socket), memory: memory)
    frontEnd = front
    let features = try front.negotiate(without: without)
    if inflight == nil {
      try front.send(
        31,
        VhostUserFrontEnd.words(UInt64(0), UInt64(0), UInt16(1), Self.size, UInt32(0))
      )
      let (payload, descriptors) = try front.receiveReply(31)
      inflightPayload = payload
      inflight = OwnedFileDescriptor(adopting: try #require(descriptors.first))
    }
    try front.tell(32, inflightPayload, descriptors: [inflight.borrow { $0.rawValue } ?? -1])
    try front.shareMemory()
    if queue == nil {
      queue = try front.makeQueue(at: GuestAddress(0x10000), size: Self.size, features: features)
    }
    let queue = try #require(queue)
    // Of a split ring, what was used is known; of a packed one nothing.
    let base = queue.isPacked ? 0x8000_8000 : UInt32(try memory.load16(at: queue.usedRing &+ 2))
    try front.startRing(0, queue, base: base)
    // A kick may have gone to the one before.
    front.kicks[0].signal()
  }

  func disconnect() { frontEnd = nil }

  /// Writes for so long.
  func run(for duration: Duration) throws {
    let end = ContinuousClock.now + duration
    while ContinuousClock.now < end {
      try submit()
      try reap()
    }
  }

  /// Waits for what is out.
  func finish() throws {
    let isDone = try waitUntil {
      try reap()
      return out.isEmpty
    }
    if !isDone { failures.append("\(out.count) requests never came back") }
  }

  func contents() throws -> [UInt64] {
    let bytes = try folder.bytes(at: disk)
    return (0..<Self.slots).map { VhostUserFrontEnd.word(bytes, at: $0 * 512, as: UInt64.self) }
  }

  private func submit() throws {
    guard let queue, let frontEnd else { return }
    while let slot = free.popLast() {
      let place = 0x100000 + UInt64(slot) * 0x1000
      sequence += 1
      expected[slot] = sequence
      try memory.store64(1, at: GuestAddress(place))
      try memory.store64(UInt64(slot), at: GuestAddress(place + 8))
      try memory.store64(sequence, at: GuestAddress(place + 0x100))
      try memory.store8(0xFF, at: GuestAddress(place + 0x800))
      let id = try queue.add([
        .readable(place, 16), .readable(place + 0x100, 512), .writable(place + 0x800, 1),
      ])
      out[UInt32(id)] = slot
    }
    try frontEnd.kick(0, queue)
  }

  private func reap() throws {
    guard let queue else { return }
    while let used = try queue.takeUsed() {
      guard let slot = out.removeValue(forKey: used.head) else {
        failures.append("chain \(used.head) came back though it was not out")
        return
      }
      let status = try memory.load8(at: GuestAddress(0x100800 + UInt64(slot) * 0x1000))
      if status != 0 { failures.append("chain \(used.head) has status \(status)") }
      free.append(slot)
      count += 1
    }
  }
}
