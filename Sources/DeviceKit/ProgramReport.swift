import Glibc
import HostOS
import Machine

/// What a program says to its user on standard error, and the exit codes that it ends with.
package struct ProgramReport: Sendable {
  private let program: String

  /// Lines begin with `program`.
  package init(_ program: String) { self.program = program }

  /// Prints a line.
  package func note(_ text: String) {
    try? FileIO.writeAll(STDERR_FILENO, Array("\(program): \(text)\n".utf8))
  }

  /// Prints what went wrong, in one line.
  ///
  /// - Returns: The exit code that stands for it; 2 for what the user can mend, else 4.
  package func failure(_ error: any Error) -> Int32 {
    switch error {
    case let error as UserError: return say(error.message, Outcome.badInputCode)
    case let error where Machine.isUserError(error): return say("\(error)", Outcome.badInputCode)
    default: return say("\(error)", Outcome.hostFailureCode)
    }
  }

  private func say(_ message: String, _ code: Int32) -> Int32 {
    note(message.split(whereSeparator: \.isNewline).joined(separator: " "))
    return code
  }
}
