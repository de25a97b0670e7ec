import ArgumentParser
import DeviceKit
import EmulatedHost
import Glibc
import HostOS
import Machine

/// The command line: subcommands, and how their errors become one line and an exit code.
struct Apus: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "apus",
    abstract: "A virtual machine monitor for Linux/KVM.",
    version: "0.1.0",
    subcommands: [
      Run.self, Serve.self, Inspect.self, Replace.self, Save.self, ReplayCommand.self,
      Interrupts.self, Agent.self,
    ]
  )

  /// Parses the process's arguments, runs the command, and ends the process.
  nonisolated static func start() -> Never {
    StandardStreams.fillGaps()
    // A client of a socket that goes away is an error to handle, not a signal to die of.
    _ = signal(SIGPIPE, SIG_IGN)
    // They ask for a report and for a look at the disks, and wait until there is something to report or to
    // look at: nobody is to die of asking early.
    Signals.block([SIGUSR1, SIGUSR2])
    Glibc.exit(perform(Array(CommandLine.arguments.dropFirst())))
  }

  /// Runs the command that `arguments` are.
  ///
  /// - Returns: The exit code.
  nonisolated static func perform(_ arguments: [String]) -> Int32 {
    do {
      var command = try parseAsRoot(arguments)
      try command.run()
      return 0
    } catch {
      return report(error)
    }
  }

  /// Prints what went wrong, if anything did.
  ///
  /// - Returns: The exit code that stands for it.
  nonisolated static func report(_ error: any Error) -> Int32 {
    switch error {
    case let error as ExitCode: return error.rawValue
    case let error as UserError: return say(error.message, code: Outcome.badInputCode)
    case let error as EmulatedHostError: return say("\(error)", code: Outcome.hostFailureCode)
    case let error as SystemError: return say("\(error)", code: Outcome.hostFailureCode)
    default: break
    }
    switch exitCode(for: error) {
    case .success:
      // --help and --version are asked for, so they are no error.
      print(fullMessage(for: error))
      return 0
    case .validationFailure:
      let message = message(for: error)
      return say("\(message); see: apus \(command) --help", code: Outcome.badInputCode)
    default: return say("\(error)", code: Outcome.hostFailureCode)
    }
  }

  /// The command whose help says more about what the user typed.
  private nonisolated static var command: String {
    let words = CommandLine.arguments.dropFirst().prefix { !$0.hasPrefix("-") }
    if let first = words.first, ["interrupts", "inspect", "replace", "replay"].contains(first) {
      return first
    }
    guard words.first == "serve" else { return "run" }
    let known = Serve.configuration.subcommands.compactMap { $0.configuration.commandName }
    return words.dropFirst().first.flatMap { known.contains($0) ? "serve \($0)" : nil } ?? "serve"
  }

  private nonisolated static func say(_ message: String, code: Int32) -> Int32 {
    let line = message.split(whereSeparator: \.isNewline).joined(separator: " ")
    try? FileIO.writeAll(STDERR_FILENO, Array("apus: \(line)\n".utf8))
    return code
  }
}
