import ArgumentParser
import DeviceKit
import Glibc
import HostOS
import Machine

/// `apus save`: saves a machine that runs, which ends with that.
struct Save: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "save",
    abstract: "Save a running machine to a file, and end it.",
    discussion: """
      The file is complete when the command ends; a machine that could not be saved
      goes on, and a line says why. apus run --restore goes on with it.

      EXAMPLE
        apus save machine.sock guest.apus
      """
  )

  @Argument(
    help: ArgumentHelp("The socket of apus run --control.", valueName: "socket"),
    completion: .file()
  )
  var socket: String

  @Argument(
    help: ArgumentHelp("The file, which is replaced if it is there.", valueName: "file"),
    completion: .file()
  )
  var file: String

  func validate() throws {
    guard !file.isEmpty, !file.contains(where: \.isNewline) else {
      throw ValidationError("'\(file)': a file's name has no line breaks here; choose another")
    }
  }

  func run() throws {
    // The machine may run in another folder.
    _ = try ControlSocket.ask(socket, .save(path: try WorkingFolder.absolute(file)))
    Run.note("\(file): the machine is saved and has ended")
  }
}
