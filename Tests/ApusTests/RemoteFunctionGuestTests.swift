import TestSupport
import Testing

/// Debian guests whose disk is a PCI function of another process.
@Suite(.serialized, .needsDebian, .needsEmulatedHost) struct RemoteFunctionGuestTests {
  @Test(
    .timeLimit(.minutes(10)),
    arguments: [("kernel", ""), ("kernel", "pci=nomsi"), ("user", "pci=nomsi")]
  )
  func aDiskIsMountedWrittenAndVerified(mode: String, append: String) async throws {
    let boot = GuestBoot(
      tasks: "no_timer_check apus.test=disk \(append)",
      options: ["--device", "vfio-user,socket=/run/d", "--irqchip", mode],
      accelerator: "kvm"
    )

    let ended = try await HostCommand.run(
      [
        "apus=$1; cp $2 /run/disk; shift 2",
        "$apus serve disk /run/disk --vfio-user /run/d & server=$!",
        "until [ -S /run/d ]; do sleep 0.1; done",
        "$apus \"$@\"; code=$?; kill $server; exit $code",
      ].joined(separator: "; "),
      [Given.binary(), Given.path("APUS_TEST_DISK")] + boot.arguments()
    )

    #expect(ended.code == 0, "\(ended)")
    #expect(ended.failures == [], "\(ended)")
    for check in ["ok disk-verify", "ok disk-write", "ok disk-unmount"] {
      #expect(ended.reports.contains { $0.hasPrefix(check) }, "\(check): \(ended)")
    }
  }
}
