import Machine
import Testing

/// The project's own Multiboot program that tests the interrupt controllers from inside, wherever they are: on
/// exact KVM in an emulated host, and on a software KVM where that opens.
@Suite(.serialized, .needsGuests) struct InterruptProgramTests {
  /// One run of the program: the place of the controllers, and a number of processors.
  struct Trial: Sendable, CustomTestStringConvertible {
    let mode: InterruptMode
    let cpus: Int

    static var all: [Trial] {
      InterruptMode.allCases.flatMap { mode in [1, 4].map { Trial(mode: mode, cpus: $0) } }
    }

    var testDescription: String { "\(mode), \(cpus) CPUs" }
  }

  // KVM's own controllers differ from the manual in places, which the program knows; ours do not.
  @Test(arguments: Trial.all)
  func theControllersDoAsTheManualsSayInAnEmulatedHost(trial: Trial) async throws {
    let words = trial.mode == .user ? "strict" : ""

    let ended = try await run(trial, accelerator: "emulated", words: words)

    #expect(ended.lines.filter { $0.hasPrefix("FAIL ") } == [])
    #expect(ended.code == 1, "\(ended)")
    #expect(ended.lines.last == "PASSED", "\(ended)")
  }

  // The local APIC of a software KVM ends interrupts when it delivers them: `inexact` leaves out what
  // depends on the end. Ours is exact there too, but is not told when the guest lowers CR8.
  @Test(.needsKVM, arguments: Trial.all)
  func theControllersLoseNothingOnThisMachine(trial: Trial) async throws {
    let words =
      switch (trial.mode, Given.hasHardwareVirtualization) {
      case (.user, true): "strict"
      case (.user, false): "strict silent-cr8"
      case (_, true): ""
      case (_, false): "inexact"
      }

    let ended = try await run(trial, accelerator: "kvm", words: words)

    #expect(ended.lines.filter { $0.hasPrefix("FAIL ") } == [])
    #expect(ended.code == 1, "\(ended)")
    #expect(ended.lines.last == "PASSED", "\(ended)")
  }

  private func run(_ trial: Trial, accelerator: String, words: String) async throws -> Ended {
    try await Program.run(
      [
        "run", try Given.interrupts(), "--debug-exit", "--test-device", "--memory", "64M",
        "--cpus", "\(trial.cpus)", "--irqchip", trial.mode.rawValue, "--accel", accelerator,
        "--append", "cpus=\(trial.cpus) \(words)",
      ],
      within: 120
    )
  }
}
