import Testing
import TestSupport

/// Debian's kernel on the networks of a host that has KVM.
@Suite(.serialized, .needsDebian, .needsEmulatedHost) struct NetworkTests {
  struct Combination: Sendable, CustomTestStringConvertible {
    let options: [String]
    let cpus: Int
    let queues: Int

    static let all = [
      Combination(options: [], cpus: 1, queues: 1),
      Combination(options: ["--no-packed-rings"], cpus: 2, queues: 2),
      Combination(options: ["--transport", "mmio"], cpus: 1, queues: 1),
    ]

    var testDescription: String { "\(queues) queues \(options.joined(separator: " "))" }
  }

  @Test(arguments: Combination.all)
  func aGuestReachesTheHostOverATapInterface(combination: Combination) async throws {
    let boot = GuestBoot(
      cpus: combination.cpus,
      tasks: "apus.test=net,quiet",
      options: combination.options + [
        "--net", "tap=apus0,queues=\(combination.queues),mac=52:54:00:12:34:56",
      ],
      accelerator: "kvm"
    )

    let ended = try await HostCommand.run(
      // The first listener would end with its input: that stays open.
      [
        "(until [ -e /sys/class/net/apus0 ]; do sleep 0.1; done",
        "busybox ifconfig apus0 10.77.0.1 netmask 255.255.255.0 up",
        "busybox mkfifo /run/hold; exec 3<>/run/hold",
        "busybox nc -l -p 9000 <&3 >/run/out/file; busybox nc -l -p 9001 </run/out/file) & \"$@\"",
      ].joined(separator: "; "),
      [Given.binary()] + boot.arguments()
    )

    #expect(ended.code == 0, "\(ended)")
    #expect(ended.failures == [], "\(ended)")
    for report in ["ok net-ping", "ok net-pings", "ok net-echo 4000000"] {
      #expect(ended.reports.contains(report), "\(ended)")
    }
    let device = try #require(ended.reports.first { $0.hasPrefix("ok net-device ") })
    let words = device.split(separator: " ")
    #expect(words[2] == "52:54:00:12:34:56")
    #expect(words[6] == "\(combination.queues)")
    // VIRTIO_NET_F_CSUM, _GUEST_CSUM, _GUEST_TSO4, _HOST_TSO4, _MRG_RXBUF, _STATUS, _CTRL_VQ.
    let features = Array(words[8])
    for bit in [0, 1, 7, 11, 15, 16, 17] { #expect(features[bit] == "1", "bit \(bit): \(device)") }
    #expect((features[22] == "1") == (combination.queues > 1))
    #expect((features[34] == "1") == !combination.options.contains("--no-packed-rings"))
  }
}
