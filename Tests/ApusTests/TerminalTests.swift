import Glibc
import TestSupport
import Testing

/// What a user at a terminal sees: keys, and a terminal that is as it was.
@Suite(.serialized, .needsGuests) struct TerminalTests {
  /// What runs the guest here: this machine's KVM too, where it opens.
  static var accelerators: [String] { Given.hasKVM ? ["kvm", "emulated"] : ["emulated"] }

  @Test(arguments: accelerators)
  func keysShowHelpAndEndTheGuest(accelerator: String) async throws {
    let terminal = try Terminal()
    let before = terminal.modes

    let (wasRaw, ended) = try await spin(accelerator, terminal) { program in
      let wasRaw = terminal.isRaw
      try program.type("\u{1}h")
      try program.expect("Ctrl-A x ends the guest", within: 10)
      try program.type("\u{1}x")
      return (wasRaw, try program.finish(within: 10))
    }

    #expect(wasRaw)
    #expect(ended.code == 0, "\(ended)")
    #expect(terminal.modes == before)
  }

  @Test(arguments: accelerators, [SIGTERM, SIGINT, SIGHUP])
  func aSignalLeavesTheTerminalAsItWas(accelerator: String, signal: Int32) async throws {
    let terminal = try Terminal()
    let before = terminal.modes

    let (wasRaw, ended) = try await spin(accelerator, terminal) { program in
      let wasRaw = terminal.isRaw
      program.signal(signal)
      return (wasRaw, try program.finish(within: 20))
    }

    #expect(wasRaw)
    #expect(ended.code == 0, "\(ended)")
    #expect(terminal.modes == before)
  }

  @Test(arguments: accelerators)
  func endsThoughTheTerminalTakesNothing(accelerator: String) async throws {
    let terminal = try Terminal()
    let folder = try TemporaryFolder()
    let kernel = try folder.file("kernel", TinyKernel.file(TinyKernel.printing))

    let hasEnded = try await Program.drive(
      ["run", kernel, "--accel", accelerator, "--memory", "64M"],
      input: .terminal(terminal)
    ) { program in
      try program.expect("A")
      // What a terminal holds is soon used up.
      _ = program.endsUnread(within: 5)
      program.signal(SIGTERM)
      return program.endsUnread(within: 12)
    }

    #expect(hasEnded)
  }

  @Test func badInputDoesNotTouchTheTerminal() async throws {
    let terminal = try Terminal()
    let before = terminal.modes

    let ended = try await Program.run(
      ["run", "/nonexistent/kernel"],
      input: .terminal(terminal),
      boots: false
    )

    #expect(ended.code == 2, "\(ended)")
    #expect(terminal.modes == before)
  }

  private func spin<Result: Sendable>(
    _ accelerator: String,
    _ terminal: Terminal,
    _ body: @escaping @Sendable (RunningProgram) throws -> Result
  ) async throws -> Result {
    let arguments = [
      "run", try Given.multiboot(), "--accel", accelerator, "--memory", "64M", "--append",
      "test=spin",
    ]
    return try await Program.drive(arguments, input: .terminal(terminal)) { program in
      try program.expect("ending")
      return try body(program)
    }
  }
}
