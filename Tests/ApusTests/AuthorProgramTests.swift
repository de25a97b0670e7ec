import Glibc
import HostOS
import Testing
import TestSupport

/// The program of `Examples/copier`, in each of the ways in which its device can run.
@Suite(.timeLimit(.minutes(10))) struct AuthorProgramTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// The program, beside the tests' own.
  private static func program() throws -> String {
    let bundle = CommandLine.arguments.first { $0.hasSuffix(".xctest") } ?? CommandLine.arguments[0]
    let folder = bundle.split(separator: "/", omittingEmptySubsequences: false).dropLast()
    return folder.joined(separator: "/") + "/copier"
  }

  private static func run(_ arguments: [String]) async throws -> Ended {
    let program = try program()
    return try await Program.onThread {
      try RunningProgram(program, arguments).finish(within: 60)
    }
  }

  /// What has a guest drive the device, and say how that went.
  private static func guest() throws -> [String] {
    [try Given.multiboot(), "--debug-exit", "--append", "copier"]
  }

  private func check(_ ended: Ended) {
    #expect(ended.code == 1, "\(ended)")
    #expect(ended.lines.last == "PASSED", "\(ended)")
    #expect(ended.lines.filter { $0.hasPrefix("ok") && $0.contains("copier") }.count == 6)
  }

  @Test(.needsGuests, .needsKVM, arguments: ["kernel", "split", "user"])
  func aGuestOfItsOwnDrivesTheDevice(mode: String) async throws {
    let arguments = try ["run"] + Self.guest() + ["--memory", "64", "--irqchip", mode]
    let program = try Self.program()

    let ended = try await BootSlots.shared.run {
      try await Program.onThread {
        try RunningProgram(program, arguments).finish(within: 120)
      }
    }

    check(ended)
  }

  @Test(.needsGuests, .needsKVM, arguments: ["on", "off"])
  func aGuestDrivesItBehindVfioUser(sandbox: String) async throws {
    let socket = folder.path(of: "s")
    let program = try Self.program()
    let arguments =
      try ["run"] + Self.guest() + [
        "--accel", "kvm", "--memory", "64M", "--device", "vfio-user,socket=\(socket)",
      ]
    let binary = try Given.binary()

    let (ended, server) = try await BootSlots.shared.run {
      try await Program.onThread {
        let server = try RunningProgram(
          program,
          ["--vfio-user", socket, "--sandbox", sandbox, "--log-level", "notice"]
        )
        try server.expect("serving", within: 30)
        let ended = try RunningProgram(binary, arguments).finish(within: 120)
        server.signal(SIGTERM)
        return (ended, try server.finish(within: 30))
      }
    }

    check(ended)
    #expect(server.code == 0, "\(server)")
    // What the driver did wrong is in the log of the device's process.
    #expect(server.errors.contains("the driver has not made the function a bus master"))
    #expect(server.errors.contains("sandbox: copier: in force") || sandbox == "off", "\(server)")
  }

  @Test(.needsGuests, .needsKVM) func aGuestDrivesItBehindTheMultiProcessProtocol() async throws {
    let ended = try await Program.run(
      ["run"] + Self.guest() + [
        "--accel", "kvm", "--memory", "64M",
        "--device", "mpqemu,exec=\(Self.program()) --mpqemu fd:",
      ],
      within: 120
    )

    check(ended)
  }

  @Test(.needsGuests, .needsKVM) func aRecordingOfAGuestIsReplayedToTheSameProgram() async throws {
    let (socket, file) = (folder.path(of: "s"), folder.path(of: "recording"))
    let program = try Self.program()
    let arguments =
      try ["run"] + Self.guest() + [
        "--accel", "kvm", "--memory", "64M", "--isolate", "none", "--device",
        "vfio-user,socket=\(socket)", "--record",
        file,
      ]
    let binary = try Given.binary()
    let ended = try await BootSlots.shared.run {
      try await Program.onThread {
        let server = try RunningProgram(program, ["--vfio-user", socket])
        try server.expect("serving", within: 30)
        let ended = try RunningProgram(binary, arguments).finish(within: 120)
        server.signal(SIGTERM)
        _ = try server.finish(within: 30)
        return ended
      }
    }
    check(ended)

    let list = try await Program.run(["replay", file, "--list"], boots: false, within: 60)
    #expect(list.code == 0, "\(list)")
    #expect(list.lines.count == 1 && list.output.hasPrefix("1  remote0  vfioUser  "), "\(list)")

    let same = try await Program.run(
      ["replay", file, "--exec", program],
      boots: false,
      within: 60
    )
    #expect(same.code == 0, "\(same)")
    #expect(same.output.contains("messages, no difference"), "\(same)")

    let other = try await Program.run(["replay", file, "--", "entropy"], boots: false, within: 60)
    #expect(other.code == 1, "\(other)")
    #expect(other.output.hasPrefix("message "), "\(other)")
    #expect(other.output.contains("(remote0, reply to "), "\(other)")
  }

  @Test(
    .needsBinary,
    arguments: [
      (["replay", "/dev/null", "--list"], "/dev/null: this is no recording"),
      (["replay", "/nowhere/f", "--list"], "/nowhere/f: No such file or directory"),
      (["replay", "/dev/null"], "say what is to be replayed to"),
      (
        ["run", "/dev/null", "--record", "/nowhere/f", "--dry-run"],
        "/dev/null"
      ),
    ]
  )
  func badInputOfAReplayIsNamed(arguments: [String], line: String) async throws {
    let ended = try await Program.run(arguments, boots: false, within: 60)
    #expect(ended.code == 2, "\(ended)")
    #expect(ended.errors.contains(line), "\(ended)")
  }

  @Test func aDryRunNamesTheDeviceOrTheLayersAroundIt() async throws {
    let layers = try await Self.run(["--vfio-user", folder.path(of: "s"), "--dry-run"])
    #expect(layers.code == 0, "\(layers)")
    #expect(
      layers.lines.map { String($0.prefix { $0 != ":" }) } == SandboxLayer.allCases.map(\.rawValue)
    )

    let help = try await Self.run(["--help"])
    #expect(help.code == 0)
    #expect(help.lines.contains { $0.contains("copier run KERNEL") })
  }

  @Test(.needsGuests) func aMachineWithTheDeviceIsDescribed() async throws {
    let machine = try await Self.run(["run"] + Self.guest() + ["--dry-run"])
    #expect(machine.code == 0, "\(machine)")
    #expect(machine.lines.contains { $0.contains("copier") }, "\(machine)")
  }

  @Test(
    arguments: [
      (["--sandbox", "on"], "say for whom: one of run, --vfio-user and --mpqemu"),
      (["--vfio-user", "s", "--mpqemu", "fd:3"], "say for whom"),
      (["--vfio-user"], "--vfio-user: a value should follow"),
      (["--vfio-user", "s", "--sandbox", "maybe"], "--sandbox maybe: say one of on, strict, off"),
      (["--mpqemu", "fd:77"], "--mpqemu fd:77: Bad file descriptor"),
      (["--vfio-user", "/nowhere/s"], "/nowhere/s: "),
      (["run"], "run: name a kernel"),
      (["run", "k", "--cpus", "many"], "--cpus many: say a number"),
      (["run", "/nowhere/kernel"], "/nowhere/kernel: "),
      (["run", "k", "--disk", "d"], "--disk: there is no such option"),
    ]
  )
  func badInputIsNamedInOneLine(arguments: [String], line: String) async throws {
    let ended = try await Self.run(arguments)
    #expect(ended.code == 2, "\(ended)")
    #expect(ended.errors.hasPrefix("copier: "), "\(ended)")
    #expect(ended.errors.contains(line), "\(ended)")
    #expect(ended.errors.filter { $0 == "\n" }.count == 1, "\(ended)")
  }
}
