import TestSupport
import Testing

/// Debian guests whose devices other processes serve, which are killed again and again.
@Suite(.serialized, .needsDebian, .needsEmulatedHost) struct RemoteGuestTests {
  @Test(
    .timeLimit(.minutes(10)),
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
        "while kill -0 $guest 2>/run/null; do kill -9 $disk; disk; kills=$((kills+1)); sleep 1; done",
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

  @Test(.timeLimit(.minutes(10)), arguments: [[], ["--no-packed-rings", "--transport", "mmio"]])
  func aNetworkIsReached(options: [String]) async throws {
    let boot = GuestBoot(
      tasks: "no_timer_check apus.test=net,quiet",
      options: options + ["--device", "vhost-user-net,socket=/run/n,mac=52:54:00:12:34:56"],
      accelerator: "kvm"
    )

    let ended = try await HostCommand.run(
      [
        "apus=$1; shift; $apus serve net tap=apus0 --vhost-user /run/n & server=$!",
        "until busybox ifconfig apus0 10.77.0.1 netmask 255.255.255.0 up; do sleep 0.1; done",
        "until [ -S /run/n ]; do sleep 0.1; done",
        "busybox mkfifo /run/hold; exec 3<>/run/hold",
        "(busybox nc -l -p 9000 <&3 >/run/out/file; busybox nc -l -p 9001 </run/out/file) & "
          + "$apus \"$@\"; code=$?; kill $server; exit $code",
      ].joined(separator: "; "),
      [Given.binary()] + boot.arguments()
    )

    #expect(ended.code == 0, "\(ended)")
    #expect(ended.failures == [], "\(ended)")
    for report in ["ok net-ping", "ok net-pings", "ok net-echo 4000000"] {
      #expect(ended.reports.contains(report), "\(ended)")
    }
    let device = try #require(ended.reports.first { $0.hasPrefix("ok net-device ") })
    #expect(device.split(separator: " ")[2] == "52:54:00:12:34:56")
  }

  @Test(.timeLimit(.minutes(10))) func streamsGoBothWays() async throws {
    let boot = GuestBoot(
      tasks: "no_timer_check apus.test=vsock,quiet",
      options: ["--device", "vhost-user-vsock,socket=/run/s"],
      accelerator: "kvm"
    )

    let ended = try await HostCommand.run(
      [
        "relay=$1; apus=$2; shift 2; $relay unix-listen /run/v_5000 echo & file=$4",
        "$apus serve vsock cid=7,path=/run/v --vhost-user /run/s & server=$!",
        "until [ -S /run/s ]; do sleep 0.1; done",
        // Until somebody listens in the guest, connections are closed.
        "(until $relay unix /run/v 6000 <$file >/run/back 2>/run/error; do sleep 0.5; done",
        ") & client=$!; $apus \"$@\"; code=$?; wait $client",
        "if cmp $file /run/back; then echo HOST-ECHO; fi; kill $server; exit $code",
      ].joined(separator: "; "),
      [Given.path("APUS_TEST_RELAY"), Given.binary()] + boot.arguments(),
      within: 240
    )

    #expect(ended.code == 0, "\(ended)")
    #expect(ended.failures == [], "\(ended)")
    #expect(ended.reports.contains("ok vsock-connect 1000000"), "\(ended)")
    #expect(ended.reports.contains("ok vsock-listen"), "\(ended)")
    #expect(ended.lines.contains("HOST-ECHO"), "\(ended)")
  }
}
