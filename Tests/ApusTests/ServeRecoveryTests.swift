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
      let disk = try ServedDisk(without: without)
      let load = disk.load
      // On a busy machine little is done before each end.
      var rounds = 0
      while rounds < 20 || load.count <= 1000 && rounds < 200 {
        rounds += 1
        var child = try disk.startServer()
        try disk.connect()
        try load.run(for: .milliseconds(Int.random(in: 1...30)))
        child.signal(SIGKILL)
        #expect(child.wait() == .signalled(SIGKILL))
        disk.disconnect()
      }
      let child = try disk.startServer()
      try disk.connect()
      try load.finish()
      withExtendedLifetime(child) {}

      #expect(load.failures == [])
      #expect(load.count > 1000)
      #expect(try disk.contents() == load.expected)
    }
  }
}

/// A disk's process, and a front end that comes back to the next one.
private final class ServedDisk {
  private let folder: TemporaryFolder
  private let disk: String
  private let socket: String
  let load: DiskLoad
  private let without: VirtioFeatures
  private var frontEnd: VhostUserFrontEnd?
  private var inflight: OwnedFileDescriptor?
  private var inflightPayload: [UInt8] = []

  init(without: VirtioFeatures) throws {
    folder = try TemporaryFolder()
    disk = try folder.file("disk", DiskLoad.content)
    socket = folder.path(of: "socket")
    load = DiskLoad(try GuestMemory(count: 4 << 20))
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
    let front = try VhostUserFrontEnd(UnixConnection.make(socket), memory: load.memory)
    frontEnd = front
    let features = try front.negotiate(without: without)
    if inflight == nil {
      try front.send(
        31,
        VhostUserFrontEnd.words(UInt64(0), UInt64(0), UInt16(1), DiskLoad.size, UInt32(0))
      )
      let (payload, descriptors) = try front.receiveReply(31)
      inflightPayload = payload
      inflight = OwnedFileDescriptor(adopting: try #require(descriptors.first))
    }
    try front.tell(32, inflightPayload, descriptors: [inflight.borrow { $0.rawValue } ?? -1])
    try front.shareMemory()
    if load.queue == nil {
      load.queue = try front.makeQueue(
        at: GuestAddress(0x10000),
        size: DiskLoad.size,
        features: features
      )
    }
    let queue = try #require(load.queue)
    // Of a split ring, what was used is known; of a packed one nothing.
    let base =
      queue.isPacked ? 0x8000_8000 : UInt32(try load.memory.load16(at: queue.usedRing &+ 2))
    try front.startRing(0, queue, base: base)
    // A kick may have gone to the one before.
    front.kicks[0].signal()
    load.kick = { try front.kick(0, $0) }
  }

  func disconnect() {
    frontEnd?.close()
    frontEnd = nil
  }

  func contents() throws -> [UInt64] { DiskLoad.words(try folder.bytes(at: disk)) }
}
