import Glibc
import TestSupport
import Testing

/// A Debian guest of a QEMU that speaks vfio-user, without KVM, that uses served devices.
@Suite(
  .needsDebian,
  .enabled(if: Given.has("APUS_TEST_QEMU_NEXT"), "there is no QEMU of Debian's next release"),
  .timeLimit(.minutes(10))
)
struct VfioUserGuestTests {
  /// What interrupts the guest.
  enum Interrupt: String, CaseIterable, Sendable {
    case vectors = ""
    case pin = "pci=nomsi"
  }

  @Test(arguments: Interrupt.allCases)
  func aDiskIsMountedWrittenAndVerified(interrupt: Interrupt) async throws {
    let folder = try TemporaryFolder()
    let disk = folder.path(of: "disk")
    try ServedGuestTests.copy(try Given.path("APUS_TEST_DISK"), to: disk)
    let socket = folder.path(of: "s")

    let ended = try await run(
      ["disk", disk, "--queues", "2"],
      socket,
      "apus.test=disk \(interrupt.rawValue)"
    )

    #expect(ended.code == 0, "\(ended)")
    #expect(ended.failures == [], "\(ended)")
    for check in ["ok disk-verify", "ok disk-write", "ok disk-unmount"] {
      #expect(ended.reports.contains { $0.hasPrefix(check) }, "\(check): \(ended)")
    }
  }

  @Test func aDiskOutlivesTheGuestsReset() async throws {
    let folder = try TemporaryFolder()
    let disk = folder.path(of: "disk")
    try ServedGuestTests.copy(try Given.path("APUS_TEST_DISK"), to: disk)

    let ended = try await run(["disk", disk], folder.path(of: "s"), "apus.test=reboot")

    #expect(ended.code == 0, "\(ended)")
    #expect(ended.failures == [], "\(ended)")
    #expect(ended.reports.contains { $0.hasPrefix("ok rebooted") }, "\(ended)")
  }

  @Test func randomBytesCome() async throws {
    let folder = try TemporaryFolder()

    let ended = try await run(["entropy"], folder.path(of: "s"), "apus.test=entropy")

    #expect(ended.code == 0, "\(ended)")
    #expect(ended.failures == [], "\(ended)")
    #expect(ended.reports.contains { $0.hasPrefix("ok entropy") }, "\(ended)")
  }

  /// Serves a device at `socket` to a guest that does `test`, and waits for both to end.
  private func run(
    _ device: [String],
    _ socket: String,
    _ test: String
  ) async throws -> Ended {
    try await BootSlots.shared.run {
      try await Program.onThread {
        let server = try RunningProgram(
          try Given.binary(),
          ["serve"] + device + ["--vfio-user", socket]
        )
        try server.expect("serving", within: 30)
        let client = #"{"driver":"vfio-user-pci","socket":{"type":"unix","path":"\#(socket)"}}"#
        let guest = try RunningProgram(
          try Given.path("APUS_TEST_QEMU_NEXT"),
          try ServedGuestTests.machine.filter { $0 != "-no-reboot" } + [
            "-device", client,
            "-append", "console=ttyS0 quiet panic=-1 no_timer_check \(test)",
          ]
        )
        let ended = try guest.finish(within: 200)
        server.signal(SIGTERM)
        #expect(try server.finish(within: 30).code == 0)
        return ended
      }
    }
  }
}
