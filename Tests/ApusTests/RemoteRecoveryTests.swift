import Glibc
import GuestMemory
import HostOS
import Logging
import RemoteDevice
import TestSupport
import Testing
import Virtio

/// A machine's disk in a process that is killed while requests are under way, and started again.
@Suite(.needsBinary, .timeLimit(.minutes(10))) struct RemoteRecoveryTests {
  @Test(arguments: [[], .packedRing] as [VirtioFeatures])
  func everyRequestIsCompletedOnce(without: VirtioFeatures) async throws {
    try await Program.onThread {
      let folder = try TemporaryFolder()
      let disk = try folder.file("disk", DiskLoad.content)
      let socket = folder.path(of: "socket")
      var server = try Self.start(disk, socket)
      let isThere = waitUntil { (try? UnixConnection.make(socket)) != nil }
      #expect(isThere)
      let memory = try GuestMemory(count: 4 << 20)
      var logger = Logger(label: "test")
      logger.logLevel = .critical
      let remote = try VhostUserRemote(
        VhostUserRemote.Options(.block, path: socket, name: "remote"),
        logger: logger
      )
      let controller = try VirtioDeviceController(
        remote,
        memory: memory,
        interrupts: RecordingInterrupts(),
        logger: logger
      )
      let driver = MockDriver(DirectTransport(controller), in: memory, from: GuestAddress(0x10000))
      try driver.negotiate(without: without)
      let load = DiskLoad(memory)
      load.queue = try driver.makeQueue(0)
      load.kick = { try driver.kick(0, $0) }
      driver.start()
      for _ in 0..<20 {
        // However busy this machine is, there is something to be lost.
        let before = load.count
        let isGoing = try waitUntil {
          try load.run(for: .milliseconds(5))
          return load.count > before + 64
        }
        #expect(isGoing)
        try load.run(for: .milliseconds(Int.random(in: 1...100)))
        server.signal(SIGKILL)
        #expect(server.wait() == .signalled(SIGKILL))
        server = try Self.start(disk, socket)
      }
      let before = load.count
      let isServed = try waitUntil {
        try load.run(for: .milliseconds(5))
        return load.count > before
      }
      #expect(isServed)
      try load.finish()

      #expect(load.failures == [])
      #expect(load.count > 1000)
      #expect(try DiskLoad.words(folder.bytes(at: disk)) == load.expected)
      #expect(!controller.status.contains(.needsReset))
      // The machine stops before the process does, which is told so.
      controller.reset()
      server.signal(SIGTERM)
      #expect(server.wait() == .exited(0))
    }
  }

  private static func start(_ disk: String, _ socket: String) throws -> ChildProcess {
    try ChildProcess(
      try Given.binary(),
      ["apus", "serve", "disk", disk, "--vhost-user", socket],
      environment: [],
      descriptors: [0, 1, 1]
    )
  }
}
