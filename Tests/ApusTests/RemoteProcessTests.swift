import Glibc
import TestSupport
import Testing

/// Debian guests whose devices are behind the multi-process protocol, under KVM: both ends, of ours and of QEMU's.
@Suite(.serialized, .needsDebian, .needsEmulatedHost) struct RemoteProcessTests {
  private func check(_ ended: Ended) {
    #expect(ended.code == 0, "\(ended)")
    #expect(ended.failures == [], "\(ended)")
    for check in ["ok disk-verify", "ok disk-write", "ok disk-unmount"] {
      #expect(ended.reports.contains { $0.hasPrefix(check) }, "\(check): \(ended)")
    }
  }

  @Test(.timeLimit(.minutes(10)), arguments: ["kernel", "split", "user"])
  func aDiskOfAProcessIsMountedWrittenAndVerified(mode: String) async throws {
    let boot = GuestBoot(
      tasks: "no_timer_check apus.test=disk",
      options: ["--irqchip", mode, "--no-entropy"],
      accelerator: "kvm"
    )

    let ended = try await HostCommand.run(
      [
        "apus=$1; cp $2 /run/disk; shift 2",
        "$apus \"$@\" --device \"mpqemu,exec=$apus serve disk /run/disk --mpqemu fd:\"",
      ].joined(separator: "; "),
      [Given.binary(), Given.path("APUS_TEST_DISK")] + boot.arguments()
    )

    check(ended)
  }

  @Test(
    .timeLimit(.minutes(10)),
    .enabled(if: Given.hasQEMU, "qemu-system-x86_64 is not installed")
  )
  func aDiskIsDrivenByTheProxyOfQEMU() async throws {
    // A pair of sockets, of which each of two programs gets an end; `-` is between them.
    let pair = [
      "use Socket; $^F = 255; socketpair($a, $b, AF_UNIX, SOCK_STREAM, 0) or die",
      "push @s, $_ while ($_ = shift) ne q(-); ($x, $y) = (fileno $a, fileno $b)",
      "unless (fork) { close $b; s/FD/$x/ for @s; exec @s }",
      "close $a; s/FD/$y/ for @ARGV; $c = system @ARGV; close $b; wait",
      "print qq(SERVER $?\\n); exit $c >> 8",
    ].joined(separator: "; ")
    let guest = try [
      Given.qemuPath, "-M", "pc,accel=kvm", "-cpu", "host", "-m", "256", "-nodefaults", "-display",
      "none", "-no-reboot", "-serial", "stdio", "-object",
      "memory-backend-memfd,id=memory,size=256M,share=on", "-numa", "node,memdev=memory",
      "-device", "x-pci-proxy-dev,id=disk,fd=FD", "-kernel",
      Given.path("APUS_TEST_KERNEL_BZIMAGE"), "-initrd", Given.path("APUS_TEST_INITRD"),
      "-append", "console=ttyS0 quiet panic=-1 no_timer_check apus.test=disk",
    ]

    let ended = try await HostCommand.run(
      "apus=$1; cp $2 /run/disk; pair=$3; shift 3; export TMPDIR=/run; "
        + "perl -e \"$pair\" $apus serve disk /run/disk --mpqemu fd:FD - \"$@\"",
      [Given.binary(), Given.path("APUS_TEST_DISK"), pair] + guest
    )

    check(ended)
    #expect(ended.lines.contains("SERVER 0"), "\(ended)")
  }
}

extension Given {
  fileprivate static let qemuPath = "/usr/bin/qemu-system-x86_64"
  fileprivate static var hasQEMU: Bool { access(qemuPath, X_OK) == 0 }
}
