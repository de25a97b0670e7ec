import TestSupport
import Testing

/// Debian guests whose devices other processes serve, which are killed again and again.
@Suite(.serialized, .needsDebian, .needsEmulatedHost) struct RemoteGuestTests {
  @Test(
    .timeLimit(.minutes(6)),
    arguments: [[], ["--no-packed-rings", "--transport", "mmio"], ["--irqchip", "kernel"]]
  )
  func aDiskIsMountedWrittenAndVerifiedThoughItsProcessIsKilled(options: [String]) async throws {
    let boot = GuestBoot(
      tasks: "no_timer_check apus.test=disk,entropy",
      options: options + [
        "--device", "vhost-user-blk,socket=/run/d", "--no-entropy", "--device",
        "vhost-user-rng,socket=/run/e",
      ],
      accelerator: "kvm"
    )

    let ended = try await HostCommand.run(
      [
        "apus=$1; cp $2 /run/disk; shift 2",
        "disk() { $apus serve disk /run/disk --vhost-user /run/d --log-level debug 2>>/run/log & disk=$!; }",
        "disk; $apus serve entropy --vhost-user /run/e & entropy=$!",
        "until [ -S /run/d ] && [ -S /run/e ]; do sleep 0.1; done",
        "$apus \"$@\" & guest=$!; kills=0",
        // A machine is not built without its devices' processes.
        "until grep -q 'is served' /run/log; do sleep 0.2; kill -0 $guest || break; done",
        "while sleep 1; kill -0 $guest 2>/run/null; do kill -9 $disk; disk; kills=$((kills+1)); done",
        "wait $guest; code=$?; echo KILLS $kills; kill $disk $entropy; exit $code",
      ].joined(separator: "; "),
      [Given.binary(), Given.path("APUS_TEST_DISK")] + boot.arguments(),
      within: 280
    )

    #expect(ended.code == 0, "\(ended)")
    #expect(ended.failures == [], "\(ended)")
    for check in ["ok disk-verify", "ok disk-write", "ok disk-unmount", "ok entropy"] {
      #expect(ended.reports.contains { $0.hasPrefix(check) }, "\(check): \(ended)")
    }
    #expect(ended.lines.contains { $0.hasPrefix("KILLS ") && $0 != "KILLS 0" }, "\(ended)")
  }
}
