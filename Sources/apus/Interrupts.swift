import ArgumentParser
import Glibc
import HostOS
import Machine

/// `apus interrupts`: shows what `apus run --save-interrupts` or `--save` has kept.
struct Interrupts: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "interrupts",
    abstract: "Show the state of the interrupt controllers that a run has saved."
  )

  @Argument(
    help: ArgumentHelp(
      "A file that apus run --save-interrupts or --save has written.",
      valueName: "file"
    ),
    completion: .file()
  )
  var file: String

  func run() throws {
    let state = try Run.explaining { try Machine.interruptState(at: file) }
    try FileIO.writeAll(STDOUT_FILENO, Array(state.report.utf8))
  }
}
