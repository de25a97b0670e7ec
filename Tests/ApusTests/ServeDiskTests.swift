import Glibc
import GuestMemory
import HostOS
import TestSupport
import Testing
import Virtio

/// `apus serve disk`: what is behind the disk, and what changes of it.
@Suite(.needsBinary) struct ServeDiskTests {
  private let folder: TemporaryFolder
  private let socket: String

  init() throws {
    folder = try TemporaryFolder()
    socket = folder.path(of: "socket")
  }

  @Test(.enabled(if: NBDServer.isThere, "qemu-nbd or libnbd0 is missing: scripts/setup"))
  func aServersDiskIsServed() async throws {
    let base = try folder.file("base", [UInt8](repeating: 7, count: 1 << 20))
    let image = folder.path(of: "image")
    #expect(shell("qemu-img create -q -f qcow2 -b \(base) -F raw \(image)").code == 0)
    let server = try NBDServer.qemu("--format=qcow2 \(image)", in: folder)
    let (socket, address) = (socket, server.address)
    _ = try await Program.drive(
      ["serve", "disk", address, "--vhost-user", socket],
      boots: false
    ) { program in
      try program.expect("serving", within: 30)
      let guest = try DiskFrontEnd(socket)
      #expect(try guest.request(0, sector: 5) == (0, 7))
      try guest.memory.store8(9, at: GuestAddress(0x21000))
      #expect(try guest.request(1, sector: 5).status == 0)
      #expect(try guest.request(0, sector: 5) == (0, 9))
    }
    server.kill()
    #expect(try folder.bytes(at: base).allSatisfy { $0 == 7 })
  }

  @Test(
    .enabled(if: NBDServer.isThere, "qemu-nbd or libnbd0 is missing: scripts/setup"),
    .enabled(if: Given.canMount, "no mount namespace can be made here")
  )
  func withoutTheLibraryThePackageIsNamed() async throws {
    let library = shell("ldconfig -p | awk '/libnbd.so.0/ {print $NF; exit}'").output
    let ended = try await Program.runWithMounts(
      "mount --bind /dev/null \(library)",
      ["serve", "disk", "nbd:unix:/none", "--vhost-user", socket]
    )
    #expect(ended.code == 2, "\(ended)")
    #expect(ended.complaints.count == 1, "\(ended)")
    #expect(ended.errors.contains("apt-get install libnbd0"), "\(ended)")
    // Nobody else needs it.
    let help = try await Program.runWithMounts("mount --bind /dev/null \(library)", ["--help"])
    #expect(help.code == 0, "\(help)")
  }

  @Test func aNewSizeIsToldAtTheSignal() async throws {
    let disk = try folder.file("disk", [UInt8](repeating: 7, count: 1 << 20))
    let socket = socket
    _ = try await Program.drive(
      ["serve", "disk", disk, "--vhost-user", socket, "--log-level", "notice"],
      boots: false
    ) { program in
      try program.expect("serving", within: 30)
      let guest = try DiskFrontEnd(socket)
      let pair = try SocketPair()
      try guest.front.tell(21, descriptors: [pair.far.rawValue])
      #expect(try guest.request(0, sector: 2048).status == 1)

      #expect(truncate(disk, 2 << 20) == 0)
      program.signal(SIGUSR2)

      // VHOST_USER_BACKEND_CONFIG_CHANGE_MSG.
      var message = [UInt8](repeating: 0, count: 12)
      var batch = DescriptorBatch()
      #expect(
        try waitUntil {
          try SocketIO.receive(pair.near.rawValue, into: &message, from: 0, count: 12, &batch)
            == .bytes(12)
        }
      )
      #expect(message == VhostUserFrontEnd.words(UInt32(2), UInt32(1), UInt32(0)))
      let words = VhostUserFrontEnd.words(UInt32(0), UInt32(8), UInt32(0), UInt64(0))
      try guest.front.send(24, words)
      let reply = try guest.front.receiveReply(24).payload
      #expect(reply.dropFirst(12) == VhostUserFrontEnd.words(UInt64(4096))[...])
      try program.expect("disk has 2097152 bytes now", within: 30)
      #expect(try guest.request(0, sector: 2048) == (0, 0))
      // Nothing has changed since: nobody is told, and nobody ends.
      program.signal(SIGUSR2)
      #expect(try guest.request(0, sector: 0) == (0, 7))
    }
  }
}
