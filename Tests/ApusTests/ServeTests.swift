import GuestMemory
import HostOS
import Glibc
import TestSupport
import Testing
import Virtio

/// `apus serve`: devices in a process of their own.
@Suite(.needsBinary) struct ServeTests {
  private let folder: TemporaryFolder
  private let disk: String
  private let socket: String

  init() throws {
    folder = try TemporaryFolder()
    disk = try folder.file("disk", [UInt8](repeating: 7, count: 1 << 20))
    socket = folder.path(of: "socket")
    _ = try folder.file("empty", [])
  }

  @Test(
    arguments: [
      ("disk missing --vhost-user s", "missing", "truncate"),
      ("disk empty --vhost-user s", "empty", "truncate"),
      ("disk disk,bogus --vhost-user s", "disk,bogus", "serve disk --help"),
      ("disk disk,slot=3 --vhost-user s", "disk", "front end"),
      ("disk disk", "--vhost-user", "serve disk --help"),
      ("disk disk --vhost-user s --vfio-user t", "--vfio-user", "one of"),
      ("disk disk --vfio-user none/s", "--vfio-user none/s", "name a path"),
      ("disk disk --vfio-user fd:77", "--vfio-user fd:77", "socket"),
      ("disk disk --vhost-user none/s", "none/s", "name a path"),
      ("disk disk --vhost-user fd:77", "fd:77", "socket"),
      ("disk disk --vhost-user fd:0", "fd:0", "socket"),
      ("disk disk --vhost-user fd:x", "fd:x", "socket"),
      ("disk disk --vhost-user s --mpqemu fd:5", "--mpqemu", "serve disk --help"),
      ("disk disk --mpqemu s", "--mpqemu s", "fd:"),
      ("disk disk --mpqemu fd:77", "fd:77", "connected unix stream socket"),
      ("disk disk --mpqemu fd:1", "fd:1", "connected unix stream socket"),
      ("disk disk --vhost-user s --queues 0", "--queues 0", "1 to 64"),
      ("disk disk --vhost-user s --queues 65", "65", "1 to 64"),
      ("disk disk --vhost-user s --queues 2 --threads 3", "--threads 3", "1 to 2"),
      ("console stdio --vhost-user s", "no terminal", "unix:F"),
      ("console unix:none/c --vhost-user s", "unix:none/c", "name a path"),
      ("vsock cid=2,path=v --vhost-user s", "cid=2", "3 to"),
      ("vsock cid=3,path=none/v --vhost-user s", "none/v", "--vsock"),
      ("vsock cid=3,path=v,slot=4 --vhost-user s", "slot", "front end"),
      ("vsock v --vhost-user s", "'v'", "serve vsock --help"),
      ("entropy", "--vhost-user", "serve entropy --help"),
      ("toaster", "toaster", "serve --help"),
    ]
  )
  func badInputIsOneLineWithItsRemedy(
    arguments: String,
    value: String,
    remedy: String
  ) async throws {
    let before = Files.names(in: folder.path)

    let ended = try await Program.run(
      ["serve"] + arguments.split(separator: " ").map(String.init),
      folder: folder.path,
      boots: false,
      within: 30
    )

    #expect(ended.code == 2, "\(ended)")
    #expect(ended.complaints.count == 1, "\(ended)")
    #expect(ended.errors.contains(value), "\(ended)")
    #expect(ended.errors.contains(remedy), "\(ended)")
    #expect(Files.names(in: folder.path) == before, "nothing is left behind")
  }

  @Test(arguments: [SIGTERM, SIGINT, SIGHUP])
  func aSignalEndsItAndRemovesTheSocket(signal: Int32) async throws {
    let (disk, socket) = (disk, socket)
    let ended = try await Program.drive(
      ["serve", "disk", disk, "--vhost-user", socket, "--queues", "2", "--threads", "1"],
      boots: false
    ) { program in
      try program.expect("serving vhost-user front ends at \(socket)", within: 30)
      let front = try VhostUserFrontEnd(
        UnixConnection.make(socket),
        memory: GuestMemory(count: 4 << 20)
      )
      #expect(try front.ask(1) & 1 << 32 != 0)
      program.signal(signal)
      try front.waitForEnd()
      return try program.finish(within: 30)
    }

    #expect(ended.code == 0, "\(ended)")
    #expect(ended.complaints.count == 1, "\(ended)")
    #expect(access(socket, F_OK) != 0)
  }

  @Test func anInheritedConnectionIsServedToItsEnd() async throws {
    let disk = disk
    try await Program.onThread {
      let pair = try SocketPair()
      var child = try ChildProcess(
        try Given.binary(),
        ["apus", "serve", "disk", "\(disk),readonly", "--vhost-user", "fd:3"],
        environment: [],
        descriptors: [0, 1, 2, pair.far.rawValue]
      )
      let front = try VhostUserFrontEnd(
        pair.near.duplicated(),
        memory: GuestMemory(count: 4 << 20)
      )
      // VIRTIO_BLK_F_RO.
      #expect(try front.ask(1) & 1 << 5 != 0)
      front.close()
      #expect(shutdown(pair.near.rawValue, Int32(SHUT_RDWR)) == 0)
      #expect(child.wait() == .exited(0))
    }
  }

  @Test func entropyIsServed() async throws {
    let socket = socket
    _ = try await Program.drive(
      ["serve", "entropy", "--vhost-user", socket],
      boots: false
    ) { program in
      try program.expect("serving", within: 30)
      let memory = try GuestMemory(count: 4 << 20)
      let front = try VhostUserFrontEnd(UnixConnection.make(socket), memory: memory)
      let features = try front.negotiate()
      try front.shareMemory()
      let queue = try front.makeQueue(at: GuestAddress(0x10000), features: features)
      try front.startRing(0, queue)
      try queue.add([.writable(0x20000, 64)])
      try front.kick(0, queue)
      #expect(try waitUntil { try queue.takeUsed()?.written == 64 })
      let bytes = try memory.read(at: GuestAddress(0x20000), count: 64)
      #expect(bytes.contains { $0 != 0 })
    }
  }

  @Test func aConsoleIsServed() async throws {
    let (socket, console) = (socket, folder.path(of: "console"))
    _ = try await Program.drive(
      ["serve", "console", "unix:\(console)", "--vhost-user", socket],
      boots: false
    ) { program in
      try program.expect("serving", within: 30)
      let memory = try GuestMemory(count: 4 << 20)
      let front = try VhostUserFrontEnd(UnixConnection.make(socket), memory: memory)
      let features = try front.negotiate()
      try front.shareMemory()
      let client = try UnixConnection.make(console)
      let receive = try front.makeQueue(at: GuestAddress(0x10000), features: features)
      let transmit = try front.makeQueue(at: GuestAddress(0x20000), features: features)
      try front.startRing(0, receive)
      try front.startRing(1, transmit)

      try FileIO.writeAll(client.rawValue, Array("to the guest".utf8))
      try receive.add([.writable(0x30000, 64)])
      try front.kick(0, receive)
      #expect(try waitUntil { try receive.takeUsed()?.written == 12 })
      #expect(
        try memory.read(at: GuestAddress(0x30000), count: 12) == Array("to the guest".utf8)
      )
      try memory.write(Array("from it".utf8), at: GuestAddress(0x31000))
      try transmit.add([.readable(0x31000, 7)])
      try front.kick(1, transmit)
      #expect(try FileIO.read(client.rawValue, atMost: 64) == Array("from it".utf8))
    }
  }
}
