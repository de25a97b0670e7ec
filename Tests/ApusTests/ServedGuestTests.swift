import Glibc
import HostOS
import TestSupport
import Testing

/// A Debian guest of Debian's QEMU, without KVM, that uses served devices.
@Suite(.needsDebian, .enabled(if: Given.hasQEMU, "qemu-system-x86_64 is not installed"))
struct ServedGuestTests {
  @Test(.timeLimit(.minutes(10)), arguments: [["packed=off"], ["packed=on", "num-queues=2"]])
  func aDiskIsMountedWrittenAndVerified(properties: [String]) async throws {
    let folder = try TemporaryFolder()
    let disk = folder.path(of: "disk")
    try Self.copy(try Given.path("APUS_TEST_DISK"), to: disk)
    let (diskSocket, entropySocket) = (folder.path(of: "d"), folder.path(of: "e"))

    let ended = try await BootSlots.shared.run {
      try await Program.onThread {
        let binary = try Given.binary()
        let servers = [
          try RunningProgram(binary, ["serve", "disk", disk, "--vhost-user", diskSocket]),
          try RunningProgram(binary, ["serve", "entropy", "--vhost-user", entropySocket]),
        ]
        for server in servers { try server.expect("serving", within: 30) }
        let guest = try RunningProgram(
          Given.qemu,
          Self.arguments(diskSocket, entropySocket, properties)
        )
        let ended = try guest.finish(within: 200)
        for server in servers {
          server.signal(SIGTERM)
          #expect(try server.finish(within: 30).code == 0)
        }
        return ended
      }
    }

    #expect(ended.code == 0, "\(ended)")
    #expect(ended.failures == [], "\(ended)")
    for check in ["ok disk-verify", "ok disk-write", "ok disk-unmount", "ok entropy"] {
      #expect(ended.reports.contains { $0.hasPrefix(check) }, "\(check): \(ended)")
    }
  }

  @Test(
    .timeLimit(.minutes(10)),
    .enabled(if: Given.canMakeNetworks, "only root can make a network to serve"),
    arguments: [1, 2]
  )
  func aNetworkIsReached(queues: Int) async throws {
    let folder = try TemporaryFolder()
    let socket = folder.path(of: "n")
    let device = "virtio-net-pci,netdev=n,vectors=0" + (queues > 1 ? ",mq=on,packed=on" : "")
    let guest =
      try [Given.qemu]
      + Self.machine + [
        "-smp", "\(queues)", "-chardev", "socket,id=n,path=\(socket)",
        "-netdev", "vhost-user,id=n,chardev=n,queues=\(queues)", "-device", device,
        "-append", "console=ttyS0 quiet panic=-1 no_timer_check apus.test=net",
      ]
    // The interface is in a network of the test's own, with a listener for what the guest sends.
    let script = """
      "$1" serve net "tap=apus0,queues=$3" --vhost-user "$2/n" & server=$!
      until ip addr add 10.77.0.1/24 dev apus0 2>/dev/null; do sleep 0.1; done
      ip link set apus0 up
      mkfifo "$2/hold"; exec 3<>"$2/hold"
      (busybox nc -l -p 9000 <&3 >"$2/sent"; busybox nc -l -p 9001 <"$2/sent") &
      shift 3; "$@"; code=$?
      kill $server; wait $server || exit 99
      exit $code
      """
    for name in ["hold", "sent"] { _ = folder.path(of: name) }
    let place = folder.path

    let ended = try await BootSlots.shared.run {
      try await Program.onThread {
        let arguments = [try Given.binary(), place, "\(queues)"]
        return try RunningProgram(
          "/usr/bin/unshare",
          ["-n", "sh", "-c", script, "sh"] + arguments + guest
        )
        .finish(within: 200)
      }
    }

    #expect(ended.code == 0, "\(ended)")
    #expect(ended.failures == [], "\(ended)")
    for check in ["ok net-ping", "ok net-pings", "ok net-echo 4000000"] {
      #expect(ended.reports.contains(check), "\(check): \(ended)")
    }
  }

  @Test(.timeLimit(.minutes(10)))
  func socketsGoBothWays() async throws {
    let folder = try TemporaryFolder()
    let (socket, path) = (folder.path(of: "s"), folder.path(of: "v"))
    let sent = try folder.file("sent", (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 7) })

    let back = folder.path(of: "back")

    let ended = try await BootSlots.shared.run {
      try await Program.onThread {
        let relay = try Given.path("APUS_TEST_RELAY")
        let server = try RunningProgram(
          try Given.binary(),
          ["serve", "vsock", "cid=7,path=\(path)", "--vhost-user", socket]
        )
        try server.expect("serving", within: 30)
        let listener = try RunningProgram(relay, ["unix-listen", path + "_5000", "echo"])
        let guest = try RunningProgram(
          Given.qemu,
          try Self.machine + [
            "-chardev", "socket,id=vsock,path=\(socket)",
            "-device", "vhost-user-vsock-pci,chardev=vsock",
            "-append", "console=ttyS0 quiet panic=-1 no_timer_check apus.test=vsock",
          ]
        )
        // Until somebody listens in the guest, connections are closed.
        let client = try RunningProgram(
          "/bin/sh",
          ["-c", "until \(relay) unix \(path) 6000 <\(sent) >\(back); do sleep 0.5; done"]
        )
        let ended = try guest.finish(within: 200)
        _ = try client.finish(within: 30)
        _ = try listener.finish(within: 30)
        server.signal(SIGTERM)
        #expect(try server.finish(within: 30).code == 0)
        return ended
      }
    }

    #expect(ended.code == 0, "\(ended)")
    #expect(ended.failures == [], "\(ended)")
    #expect(ended.reports.contains("ok vsock-connect 1000000"), "\(ended)")
    #expect(ended.reports.contains("ok vsock-listen"), "\(ended)")
    #expect(try folder.bytes(at: back) == folder.bytes(at: sent))
  }

  private static func arguments(
    _ disk: String,
    _ entropy: String,
    _ properties: [String]
  ) throws -> [String] {
    let device = (["vhost-user-blk-pci", "chardev=disk"] + properties).joined(separator: ",")
    return try machine + [
      "-chardev", "socket,id=disk,path=\(disk)", "-device", device,
      "-chardev", "socket,id=entropy,path=\(entropy)",
      "-device", "vhost-user-rng-pci,chardev=entropy",
      "-append", "console=ttyS0 quiet panic=-1 no_timer_check apus.test=disk,entropy",
    ]
  }

  /// A machine whose memory a device can share.
  static var machine: [String] {
    get throws {
      [
        "-M", "pc,accel=tcg", "-cpu", "max", "-m", "256", "-nodefaults", "-display", "none",
        "-no-reboot", "-serial", "stdio",
        "-object", "memory-backend-memfd,id=memory,size=256M,share=on",
        "-numa", "node,memdev=memory",
        "-kernel", try Given.path("APUS_TEST_KERNEL_BZIMAGE"),
        "-initrd", try Given.path("APUS_TEST_INITRD"),
      ]
    }
  }

  static func copy(_ source: String, to target: String) throws {
    let from = try OwnedFileDescriptor(opening: source, O_RDONLY)
    let to = try OwnedFileDescriptor(opening: target, O_WRONLY | O_CREAT)
    while let bytes = try FileIO.read(from.rawValue, atMost: 1 << 20), !bytes.isEmpty {
      try FileIO.writeAll(to.rawValue, bytes)
    }
  }
}

extension Given {
  fileprivate static let qemu = "/usr/bin/qemu-system-x86_64"
  fileprivate static var canMakeNetworks: Bool {
    getuid() == 0 && access("/dev/net/tun", F_OK) == 0 && access("/usr/bin/unshare", X_OK) == 0
  }
  fileprivate static var hasQEMU: Bool { access(qemu, X_OK) == 0 }
}
