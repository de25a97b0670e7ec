import Glibc
import HostOS
import Machine
import TestSupport
import Testing

/// What `--dump-interrupts` and SIGUSR1 show, and that a guest goes on after it.
@Suite(.serialized, .needsGuests) struct InterruptReportTests {
  /// What runs the guest here: this machine's KVM too, where it opens.
  static var accelerators: [String] { Given.hasKVM ? ["kvm", "emulated"] : ["emulated"] }

  private let folder: TemporaryFolder
  private let kernel: String

  init() throws {
    folder = try TemporaryFolder()
    kernel = try folder.file("kernel", TinyKernel.file(TinyKernel.echoing))
  }

  @Test(arguments: accelerators, InterruptMode.allCases)
  func aSignalShowsAllControllersAndTheGuestGoesOn(
    accelerator: String,
    mode: InterruptMode
  ) async throws {
    let arguments = command(accelerator, ["--irqchip", mode.rawValue, "--cpus", "3"])

    let (first, ended) = try await Program.drive(arguments, input: .pipe) { program in
      try program.expect("R")
      program.signal(SIGUSR1)
      try program.expect("local APIC 2: ")
      try program.expect("CMCI 0x", times: 3)
      let first = program.standardError
      try program.type("a")
      try program.expect("Ra")
      program.signal(SIGUSR1)
      try program.expect("interrupts (\(mode.rawValue)):", times: 2)
      try program.type("q")
      return (first, try program.finish(within: 30))
    }

    expectReport(first, of: mode, cpus: 3)
    #expect(ended.output.hasSuffix("Raq"), "\(ended)")
    #expect(ended.code == 0, "\(ended)")
  }

  @Test(arguments: accelerators, InterruptMode.allCases)
  func theEndShowsAllControllers(accelerator: String, mode: InterruptMode) async throws {
    let kernel = try folder.file("resetting", TinyKernel.file(TinyKernel.halting))

    let ended = try await Program.run(
      [
        "run", kernel, "--accel", accelerator, "--irqchip", mode.rawValue, "--cpus", "2",
        "--memory", "64M", "--log-level", "critical", "--dump-interrupts",
      ],
      within: 60
    )

    #expect(ended.code == 8, "\(ended)")
    expectReport(ended.errors, of: mode, cpus: 2)
  }

  /// At the signal and at the end: what is in the file is shown as by the report, but for the pins' counters.
  @Test(arguments: accelerators, InterruptMode.allCases)
  func theStateIsKeptInAFile(accelerator: String, mode: InterruptMode) async throws {
    let path = folder.path(of: "state")
    let options = ["--irqchip", mode.rawValue, "--cpus", "3", "--save-interrupts", path]

    let (first, ended) = try await Program.drive(command(accelerator, options), input: .pipe) {
      program in
      try program.expect("R")
      program.signal(SIGUSR1)
      try program.expect("CMCI 0x", times: 3)
      // It is written after it was shown; the guest answers once it goes on.
      try program.type("a")
      try program.expect("Ra")
      try program.wait(for: "the file") { (try? Machine.interruptState(at: path)) != nil }
      let first = try Machine.interruptState(at: path)
      try program.type("q")
      return (first, try program.finish(within: 30))
    }

    #expect(ended.code == 0, "\(ended)")
    let last = try Machine.interruptState(at: path)
    #expect(last != first)
    for state in [first, last] {
      let file = try folder.file("shown", state.bytes)
      let shown = try await Program.run(["interrupts", file], within: 10)
      #expect(shown.code == 0, "\(shown)")
      #expect(shown.errors == "", "\(shown)")
      let lines = shown.output.split(separator: "\n").map(String.init)
      #expect(lines.first == "interrupts (\(mode.rawValue)), saved:", "\(shown)")
      #expect(lines.contains { $0.hasPrefix("  GSI 4: low, 0 of 1 sources") }, "\(shown)")
      #expect(lines.count { $0.hasPrefix("  pin ") } == 24, "\(shown)")
      #expect(lines.count { $0.hasPrefix("  IRQ ") } == 16, "\(shown)")
      #expect(lines.count { $0.hasPrefix("local APIC ") } == 3, "\(shown)")
      #expect(lines.count { $0.hasPrefix("  waiting for its start-up") } == 2, "\(shown)")
      #expect(lines.contains { $0.hasPrefix("interval timer: ") }, "\(shown)")
    }
  }

  @Test func theReportIsOfTheModeThatIsUsedWhenNoneIsAskedFor() async throws {
    let ended = try await Program.drive(
      command("emulated", ["--dump-interrupts"]),
      input: .pipe
    ) { program in
      try program.expect("R")
      try program.type("q")
      return try program.finish(within: 30)
    }

    #expect(ended.code == 0, "\(ended)")
    #expect(ended.errors.contains("interrupts (split):\n"), "\(ended)")
  }

  /// Whatever the program is doing: from its first moment on, it asks for a report and for nothing else.
  @Test(arguments: accelerators)
  func aSignalDuringStartUpEndsNothing(accelerator: String) async throws {
    for delay: UInt32 in [2_000, 20_000, 1_000_000] {
      let ended = try await Program.drive(command(accelerator, []), input: .pipe) { program in
        try program.wait(for: "its main program") { Processes.isBlocking(SIGUSR1, program.id) }
        for _ in 0..<10 {
          program.signal(SIGUSR1)
          usleep(delay / 10)
        }
        try program.expect("R")
        try program.expect("local APIC 0: ")
        try program.type("q")
        return try program.finish(within: 30)
      }

      #expect(ended.code == 0, "\(ended)")
      #expect(ended.output.hasSuffix("Rq"), "\(ended)")
    }
  }

  @Test(.needsKVM) func aReportThatNobodyReadsHoldsNothingUp() async throws {
    let pipe = try SmallPipe()
    let program = try Given.binary()
    let arguments = ["apus"] + command("kvm", ["--serial", "none"])

    let ending = try await Program.onThread {
      var child = try ChildProcess(
        program,
        arguments,
        environment: [],
        descriptors: [pipe.null, pipe.null, pipe.writer]
      )
      usleep(500_000)
      child.signal(SIGUSR1)
      usleep(200_000)
      child.signal(SIGTERM)
      let hasEnded = waitUntil(seconds: 10) { !Processes.isRunning(child.id) }
      return hasEnded ? child.wait() : nil
    }

    #expect(ending == .exited(0))
  }

  // MARK: Steps

  private func command(_ accelerator: String, _ options: [String]) -> [String] {
    [
      "run", kernel, "--accel", accelerator, "--memory", "64M", "--log-level", "critical",
    ] + options
  }

  /// Every line, pin and local APIC is there, as its mode knows it.
  private func expectReport(_ text: String, of mode: InterruptMode, cpus: Int) {
    let lines = text.split(separator: "\n").map(String.init)
    func count(_ part: String) -> Int { lines.count { $0.contains(part) } }
    #expect(count("interrupts (\(mode.rawValue)):") == 1, "\(text)")
    // GSI 2 is nobody's where the timer's line is on pin 2.
    for gsi in 0..<24 where gsi != 2 {
      let line = lines.filter { $0.hasPrefix("  GSI \(gsi): low, 0 of ") }
      #expect(line.count == 1, "GSI \(gsi): \(text)")
      let counters = ["raised", "coalesced", "delivered", "EOI", "resampled", "spurious"]
      #expect(counters.allSatisfy { line.first?.contains("\($0) ") == true }, "\(line)")
    }
    // The serial port, the real-time clock and ACPI have a source each.
    for gsi in [4, 8, 9] { #expect(count("  GSI \(gsi): low, 0 of 1 sources") == 1, "\(text)") }
    let suffix = mode == .kernel ? " (KVM):" : ":"
    #expect(count("I/O APIC\(suffix)") == 1, "\(text)")
    #expect(count("8259s\(suffix)") == 1, "\(text)")
    for pin in 0..<24 {
      #expect(lines.count { $0.hasPrefix("  pin \(pin): ") } == 1, "pin \(pin): \(text)")
    }
    for line in 0..<16 {
      #expect(lines.count { $0.hasPrefix("  IRQ \(line): ") } == 1, "IRQ \(line): \(text)")
    }
    #expect(count("(raised 0, delivered 0, ") == (mode == .kernel ? 0 : 40), "\(text)")
    for cpu in 0..<cpus {
      #expect(lines.count { $0.hasPrefix("local APIC \(cpu): TPR 0x0, ") } == 1, "\(text)")
    }
    #expect(count("local APIC ") == cpus, "\(text)")
    #expect(count("pending none, in service none, level none") == cpus, "\(text)")
    #expect(count("LINT0 0x") == cpus, "\(text)")
  }
}

/// A pipe that nobody reads; it takes a page and no more.
private final class SmallPipe: Sendable {
  let null: Int32
  let writer: Int32
  private let reader: Int32

  init() throws {
    var ends: [Int32] = [-1, -1]
    null = try retrying("open") { open("/dev/null", O_RDWR | O_CLOEXEC) }
    _ = try retrying("pipe") { pipe(&ends) }
    (reader, writer) = (ends[0], ends[1])
    let number = writer
    // F_SETPIPE_SZ of linux/fcntl.h.
    _ = try retrying("fcntl") { fcntl(number, 1031, 4096) }
  }

  deinit {
    close(reader)
    close(writer)
    close(null)
  }
}
