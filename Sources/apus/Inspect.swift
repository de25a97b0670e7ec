import ArgumentParser
import Glibc
import HostOS
import Machine

/// `apus inspect`: shows the devices of a machine that runs.
struct Inspect: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Show a running machine's devices, their processes and sandboxes, and interrupts."
  )

  @Argument(
    help: ArgumentHelp("The socket of apus run --control.", valueName: "socket"),
    completion: .file()
  )
  var socket: String

  @Flag(help: "Show one line of JSON.")
  var json = false

  func run() throws {
    let answer = try ControlSocket.ask(socket, .inspect(isJSON: json))
    try FileIO.writeAll(STDOUT_FILENO, answer)
  }
}
