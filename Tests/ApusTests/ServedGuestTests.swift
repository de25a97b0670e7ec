import Glibc
import HostOS
import TestSupport
import Testing

/// A Debian guest of Debian's QEMU, without KVM, that uses served devices.
@Suite(.needsDebian, .enabled(if: Given.hasQEMU, "qemu-system-x86_64 is not installed"))
struct ServedGuestTests {
  @Test(.timeLimit(.minutes(4)), arguments: [["packed=off"], ["packed=on", "num-queues=2"]])
  func aDiskIsMountedWrittenAndVerified(properties: [String]) async throws {
    let folder = try TemporaryFolder()
    let disk = folder.path(of: "disk")
    try copy(try Given.path("APUS_TEST_DISK"), to: disk)
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

  private static func arguments(
    _ disk: String,
    _ entropy: String,
    _ properties: [String]
  ) throws -> [String] {
    let device = (["vhost-user-blk-pci", "chardev=disk"] + properties).joined(separator: ",")
    return [
      "-M", "pc,accel=tcg", "-cpu", "max", "-m", "256", "-nodefaults", "-display", "none",
      "-no-reboot", "-serial", "stdio",
      "-object", "memory-backend-memfd,id=memory,size=256M,share=on",
      "-numa", "node,memdev=memory",
      "-chardev", "socket,id=disk,path=\(disk)", "-device", device,
      "-chardev", "socket,id=entropy,path=\(entropy)",
      "-device", "vhost-user-rng-pci,chardev=entropy",
      "-kernel", try Given.path("APUS_TEST_KERNEL_BZIMAGE"),
      "-initrd", try Given.path("APUS_TEST_INITRD"),
      "-append", "console=ttyS0 quiet panic=-1 no_timer_check apus.test=disk,entropy",
    ]
  }

  private func copy(_ source: String, to target: String) throws {
    let from = try OwnedFileDescriptor(opening: source, O_RDONLY)
    let to = try OwnedFileDescriptor(opening: target, O_WRONLY | O_CREAT)
    while let bytes = try FileIO.read(from.rawValue, atMost: 1 << 20), !bytes.isEmpty {
      try FileIO.writeAll(to.rawValue, bytes)
    }
  }
}

extension Given {
  fileprivate static let qemu = "/usr/bin/qemu-system-x86_64"
  fileprivate static var hasQEMU: Bool { access(qemu, X_OK) == 0 }
}
