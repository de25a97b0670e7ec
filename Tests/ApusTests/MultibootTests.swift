import Glibc
import HostOS
import Testing
import TestSupport

/// The project's own Multiboot program: it tests the machine from inside, on hardware's or a
/// software KVM where it opens, and on exact KVM in an emulated host.
@Suite(.serialized, .needsGuests) struct MultibootTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  @Test(.needsKVM, arguments: [1, 2])
  func theTestProgramPassesOnThisMachine(cpus: Int) async throws {
    let ended = try await runAllChecks(cpus: cpus, accelerator: "kvm")

    #expect(ended.code == 1, "\(ended)")
    #expect(ended.lines.last == "PASSED", "\(ended)")
  }

  @Test(arguments: [1, 4])
  func theTestProgramPassesInAnEmulatedHost(cpus: Int) async throws {
    let ended = try await runAllChecks(cpus: cpus, accelerator: "emulated")

    #expect(ended.code == 1, "\(ended)")
    #expect(ended.lines.last == "PASSED", "\(ended)")
  }

  @Test(
    .needsKVM,
    arguments: [
      ("poweroff", 0), ("reset", 6), ("reset-keyboard", 6), ("reset-port", 6), ("halt", 8),
      ("triplefault", 10), ("fetch-unbacked", 12), ("mmio-unclaimed", 1), ("exit", 1),
    ] as [(String, Int32)]
  )
  func eachEndingHasItsCodeOnThisMachine(ending: String, code: Int32) async throws {
    let ended = try await run(["--accel", "kvm", "--append", "test=\(ending)"])

    #expect(ended.code == code, "\(ended)")
  }

  @Test(
    arguments: [("poweroff", 0), ("reset", 6), ("halt", 8), ("triplefault", 10)]
      as [(String, Int32)]
  )
  func eachEndingHasItsCodeInAnEmulatedHost(ending: String, code: Int32) async throws {
    let ended = try await run(["--accel", "emulated", "--append", "test=\(ending)"])

    #expect(ended.code == code, "\(ended)")
  }

  @Test(.needsKVM) func aTermSignalEndsAGuestThatNeverStops() async throws {
    let ended = try await endSpinning(accelerator: "kvm")

    #expect(ended.code == 0, "\(ended)")
  }

  @Test func aTermSignalReachesTheGuestInAnEmulatedHost() async throws {
    let ended = try await endSpinning(accelerator: "emulated")

    #expect(ended.code == 0, "\(ended)")
  }

  @Test func aKilledMonitorLeavesNoProcess() async throws {
    let arguments = try command(["--accel", "emulated", "--append", "test=spin"])

    let (children, areGone) = try await Program.drive(arguments) { program in
      try program.expect("ending")
      let children = Processes.children(of: program.id)
      program.signal(SIGKILL)
      _ = try program.finish()
      return (children, waitUntil { children.allSatisfy { !Processes.isRunning($0) } })
    }

    #expect(children.count == 1, "QEMU alone")
    #expect(areGone)
  }

  @Test func anEmulatedHostThatDiesEndsTheRun() async throws {
    let arguments = try command(["--accel", "emulated", "--append", "test=spin"])

    let ended = try await Program.drive(arguments) { program in
      try program.expect("ending")
      for host in Processes.children(of: program.id) { kill(host, SIGKILL) }
      return try program.finish(within: 20)
    }

    #expect(ended.code == 4, "\(ended)")
    #expect(ended.errors.contains("emulated host ended early"), "\(ended)")
  }

  // MARK: Steps

  private func command(_ options: [String]) throws -> [String] {
    ["run", try Given.multiboot(), "--debug-exit", "--memory", "64M"] + options
  }

  private func run(_ options: [String]) async throws -> Ended {
    try await Program.run(try command(options), within: 120)
  }

  private func runAllChecks(cpus: Int, accelerator: String) async throws -> Ended {
    let modules = try [Array("one".utf8), [UInt8](repeating: 7, count: 5000)].enumerated().map {
      try folder.file("module\($0)", $1)
    }
    let checks = "cpus=\(cpus) memory=67108864 modules=2 fwcfg testdev lines loopback"
    // FNV-1a of the modules above.
    let sums =
      "sum0=\(Self.sum(Array("one".utf8))) sum1=\(Self.sum([UInt8](repeating: 7, count: 5000)))"
    return try await run(
      [
        "--test-device", "--cpus", "\(cpus)", "--accel", accelerator, "--append",
        "\(checks) \(sums)",
      ] + modules.flatMap { ["--initrd", "\($0) argument"] }
    )
  }

  private func endSpinning(accelerator: String) async throws -> Ended {
    try await Program.drive(try command(["--accel", accelerator, "--append", "test=spin"])) {
      program in
      try program.expect("ending")
      program.signal(SIGTERM)
      return try program.finish(within: 30)
    }
  }

  /// FNV-1a, 32 bits, as the program computes it.
  private static func sum(_ bytes: [UInt8]) -> String {
    let sum = bytes.reduce(0x811C_9DC5 as UInt32) { ($0 ^ UInt32($1)) &* 0x0100_0193 }
    return String(sum, radix: 16)
  }
}
