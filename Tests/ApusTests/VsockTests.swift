import Testing
import TestSupport

/// Debian's kernel and programs of a host, over sockets.
@Suite(.serialized, .needsDebian, .needsEmulatedHost) struct VsockTests {
  @Test(arguments: [[], ["--no-packed-rings", "--transport", "mmio"]])
  func streamsGoBothWays(options: [String]) async throws {
    let boot = GuestBoot(
      tasks: "apus.test=vsock,quiet",
      options: options + ["--vsock", "cid=7,path=/run/v"],
      accelerator: "kvm"
    )

    let ended = try await HostCommand.run(
      [
        "relay=$1; shift; $relay unix-listen /run/v_5000 echo & file=$5",
        // Until somebody listens in the guest, connections are closed.
        "(until $relay unix /run/v 6000 <$file >/run/back 2>/run/error; do sleep 0.5; done",
        // What is printed while the guest writes may be in the middle of a line of its.
        ") & \"$@\"; code=$?; wait; if cmp $file /run/back; then echo HOST-ECHO; fi; exit $code",
      ].joined(separator: "; "),
      [Given.path("APUS_TEST_RELAY"), Given.binary()] + boot.arguments(),
      within: 240
    )

    #expect(ended.code == 0, "\(ended)")
    #expect(ended.failures == [], "\(ended)")
    #expect(ended.reports.contains("ok vsock-connect 1000000"), "\(ended)")
    #expect(ended.reports.contains("ok vsock-listen"), "\(ended)")
    #expect(
      ended.reports.contains { $0.hasPrefix("ok vsock-refused") && $0.hasSuffix("reset by peer") },
      "\(ended)"
    )
    #expect(ended.lines.contains("HOST-ECHO"), "\(ended)")
  }
}
