import Glibc
import HostOS
import Machine
import TestSupport
import Testing

/// `apus run --save` and `--restore`: a guest that counts ticks and writes a disk goes on in another process.
@Suite(.serialized, .needsGuests, .timeLimit(.minutes(5))) struct SavedMachineTests {
  /// As many as the guest makes.
  private static let steps = 32
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// Whether its devices had processes of their own, and whether they have, does not matter.
  @Test(
    .needsKVM,
    arguments: zip(
      InterruptMode.allCases,
      [
        ["devices", "none", "devices"], ["none", "devices", "none"],
        ["devices", "devices", "devices"],
      ]
    )
  )
  func aGuestGoesOnWhereItWas(mode: InterruptMode, isolation: [String]) async throws {
    let saved = folder.path(of: "saved")
    let disk = try folder.file("disk", [UInt8](repeating: 0, count: 64 * 512))
    let devices = [
      "--accel", "kvm", "--debug-exit", "--disk", disk, "--log-level", "error",
    ]
    let kernel = try Given.saving()
    // Saved twice on its way, each time in the middle of its work.
    var output = ""
    for (round, step) in [3, 9].enumerated() {
      let how =
        round == 0
        ? [kernel, "--irqchip", mode.rawValue, "--memory", "64M"]
        : ["--restore", saved]
      let options = devices + ["--save", saved, "--isolate", isolation[round]]
      let ended = try await Program.drive(["run"] + how + options) { program in
        try program.expect("step \(step)")
        program.signal(SIGUSR2)
        return try program.finish(within: 60)
      }
      #expect(ended.code == 0, "\(ended)")
      let said = ended.errors.split(separator: "\n").filter { !$0.contains("warning") }
      #expect(said.count == 1, "\(ended)")
      #expect(said.first?.hasPrefix("apus: saved the machine to \(saved): ") == true, "\(ended)")
      output += ended.output
    }

    let shown = try await Program.run(["interrupts", saved], boots: false, within: 10)
    #expect(shown.output.hasPrefix("interrupts (\(mode.rawValue)), saved:\n"), "\(shown)")
    let ended = try await Program.run(
      ["run", "--restore", saved, "--isolate", isolation[2]] + devices,
      within: 120
    )
    output += ended.output

    #expect(ended.code == 1, "\(ended) after \(output)")
    let lines = output.split(whereSeparator: \.isNewline).map(String.init)
    #expect(lines.filter { $0.hasPrefix("step ") } == (0..<Self.steps).map { "step \($0)" })
    #expect(!output.contains("FAIL"), "\(output)")
  }

  /// The disk is another process's each time, which was never told of the one before.
  @Test(.needsKVM) func aGuestGoesOnWithADiskBehindVfioUser() async throws {
    let saved = folder.path(of: "saved")
    let disk = try folder.file("disk", [UInt8](repeating: 0, count: 64 * 512))
    let kernel = try Given.saving()
    var output = ""
    for round in 0..<2 {
      let socket = folder.path(of: "s\(round)")
      let devices = [
        "--accel", "kvm", "--debug-exit", "--log-level", "error",
        "--device", "vfio-user,socket=\(socket)",
      ]
      let ended = try await Program.onThread {
        let server = try RunningProgram(
          try Given.binary(),
          ["serve", "disk", disk, "--vfio-user", socket]
        )
        try server.expect("serving", within: 30)
        defer {
          server.signal(SIGTERM)
          _ = try? server.finish(within: 30)
        }
        let guest = try RunningProgram(
          try Given.binary(),
          round == 0
            ? ["run", kernel, "--memory", "64M", "--save", saved] + devices
            : ["run", "--restore", saved] + devices
        )
        if round == 0 {
          try guest.expect("step 5", within: 60)
          guest.signal(SIGUSR2)
        }
        return try guest.finish(within: 120)
      }
      #expect(ended.code == (round == 0 ? 0 : 1), "\(ended)")
      output += ended.output
    }
    let lines = output.split(whereSeparator: \.isNewline).map(String.init)
    #expect(lines.filter { $0.hasPrefix("step ") } == (0..<Self.steps).map { "step \($0)" })
    #expect(!output.contains("FAIL"), "\(output)")
  }

  @Test(.needsKVM) func aMachineIsSavedByItsControlSocket() async throws {
    let saved = folder.path(of: "saved")
    let socket = folder.path(of: "control")
    let disk = try folder.file("disk", [UInt8](repeating: 0, count: 64 * 512))
    let devices = ["--accel", "kvm", "--debug-exit", "--disk", disk, "--log-level", "error"]
    let missing = folder.path + "/no/file"
    let kernel = try Given.saving()
    let first = try await Program.drive(
      ["run", kernel, "--memory", "64M", "--control", socket] + devices
    ) { program in
      try program.expect("step 3")
      // One that cannot be saved goes on.
      let refused = try RunningProgram(try Given.binary(), ["save", socket, missing]).finish(
        within: 30
      )
      #expect(refused.code == 2, "\(refused)")
      #expect(refused.errors.hasPrefix("apus: \(missing): "), "\(refused)")
      #expect(refused.errors.split(separator: "\n").count == 1, "\(refused)")
      let done = try RunningProgram(try Given.binary(), ["save", socket, saved]).finish(within: 60)
      #expect(done.code == 0, "\(done)")
      #expect(done.errors == "apus: \(saved): the machine is saved and has ended\n", "\(done)")
      return try program.finish(within: 60)
    }
    #expect(first.code == 0, "\(first)")
    #expect(first.errors.contains("apus: saved the machine to \(saved): "), "\(first)")

    let ended = try await Program.run(["run", "--restore", saved] + devices, within: 120)

    let lines = (first.output + ended.output).split(whereSeparator: \.isNewline).map(String.init)
    #expect(lines.filter { $0.hasPrefix("step ") } == (0..<Self.steps).map { "step \($0)" })
    let late = try await Program.run(["save", socket, saved], boots: false, within: 30)
    #expect(late.code == 2, "\(late)")
    #expect(late.errors.contains("--control"), "\(late)")
  }

  @Test(.needsKVM) func aMachineOfOtherDevicesIsRefusedInOneLine() async throws {
    let saved = folder.path(of: "saved")
    let disk = try folder.file("disk", [UInt8](repeating: 0, count: 64 * 512))
    let base = ["--accel", "kvm", "--debug-exit", "--memory", "64M"]
    _ = try await Program.drive(
      ["run", try Given.saving(), "--disk", disk, "--save", saved] + base
    ) { program in
      try program.expect("step 1")
      program.signal(SIGUSR2)
      return try program.finish(within: 60)
    }

    for (options, expected) in [
      ([], "PCI device 1"), (["--disk", disk, "--memory", "128M"], "--memory 64M"),
      (["--disk", disk, "--cpus", "2"], "--cpus 1"),
      (["--disk", disk, "--serial", "none"], "--serial none"),
      (["--disk", disk + ",queues=2"], "disk"),
    ] as [([String], String)] {
      let ended = try await Program.run(
        ["run", "--restore", saved] + base + options,
        within: 30
      )
      #expect(ended.code == 2, "\(ended)")
      #expect(ended.errors.contains(expected), "\(ended)")
      #expect(ended.errors.split(separator: "\n").count { $0.hasPrefix("apus: \(saved)") } == 1)
    }
  }

  @Test(.needsKVM) func whatCannotBeSavedIsRefusedInOneLine() async throws {
    let kernel = try folder.file("kernel", TinyKernel.file(TinyKernel.halting))
    let nothing = try folder.file("nothing", [1, 2, 3])
    let free = folder.path(of: "free")
    for (arguments, expected) in [
      ([kernel, "--save", free, "--transport", "mmio"], "--transport mmio"),
      ([kernel, "--save", folder.path + "/no/file"], "name a file"),
      ([kernel, "--save", folder.path], "name one"),
      (["--restore", nothing], "no saved machine"), (["--restore", free], "name a file"),
      (["--restore", nothing, "--on-reset", "restart"], "--on-reset"), ([], "<kernel>"),
    ] as [([String], String)] {
      let ended = try await Program.run(
        ["run", "--accel", "kvm", "--log-level", "critical"] + arguments,
        within: 30
      )
      #expect(ended.code == 2, "\(arguments): \(ended)")
      #expect(ended.errors.contains(expected), "\(arguments): \(ended)")
      #expect(access(free, F_OK) != 0)
    }
  }
}
