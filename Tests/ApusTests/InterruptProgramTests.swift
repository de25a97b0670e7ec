import Testing

/// The project's own Multiboot program that tests the interrupt controllers from inside: on exact KVM in
/// an emulated host, and with less asked of it on a software KVM where that opens.
@Suite(.serialized, .needsGuests) struct InterruptProgramTests {
  /// One run of the program: its groups of tests on so many CPUs, with these options of `apus run`.
  struct Trial: Sendable, CustomTestStringConvertible {
    let groups: String
    let cpus: Int
    let options: [String]

    var testDescription: String { (["\(groups), \(cpus) CPUs"] + options).joined(separator: " ") }
  }

  /// What chooses who has the controllers.
  private static let choices: [[String]] = [[]]
  private static let groups = ["ioapic lapic", "timer x2apic", "pic pit"]
  private static let trials: [Trial] = choices.flatMap { options in
    groups.flatMap { groups in
      [1, 4].map { Trial(groups: groups, cpus: $0, options: options) }
    }
  }

  @Test(arguments: trials)
  func theControllersDoAsTheManualsSayInAnEmulatedHost(trial: Trial) async throws {
    let ended = try await run(trial, accelerator: "emulated")

    #expect(ended.code == 1, "\(ended)")
    #expect(ended.lines.last == "PASSED", "\(ended)")
  }

  // The local APIC of a software KVM ends interrupts when it delivers them: `inexact` leaves out what
  // depends on the end.
  @Test(.needsKVM, arguments: trials)
  func theControllersLoseNothingOnThisMachine(trial: Trial) async throws {
    let ended = try await run(trial, accelerator: "kvm", words: "inexact")

    #expect(ended.code == 1, "\(ended)")
    #expect(ended.lines.last == "PASSED", "\(ended)")
  }

  private func run(_ trial: Trial, accelerator: String, words: String = "") async throws -> Ended {
    let checks = "cpus=\(trial.cpus) \(trial.groups) \(words)"
    return try await Program.run(
      [
        "run", try Given.interrupts(), "--debug-exit", "--test-device", "--memory", "64M",
        "--cpus", "\(trial.cpus)", "--accel", accelerator, "--append", checks,
      ] + trial.options,
      within: 120
    )
  }
}
