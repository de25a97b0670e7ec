import ArgumentParser
import DeviceKit
import Glibc
import HostOS
import Machine

/// `apus replace`: has another process serve a device of a machine that runs.
struct Replace: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replace",
    abstract: "Have another process serve an isolated device of a running machine.",
    discussion: """
      The process that serves the device ends what it can and is followed by the new
      one, which goes on with the rest; the guest notices a pause. If the new one
      does not take over within 10 seconds, the one before is started again.

      EXAMPLES
        apus replace machine.sock disk0 --with ./apus-new
        apus replace machine.sock disk0 --options root.img,engine=sync
      """
  )

  @Argument(
    help: ArgumentHelp("The socket of apus run --control.", valueName: "socket"),
    completion: .file()
  )
  var socket: String

  @Argument(help: ArgumentHelp("The device, as apus inspect names it.", valueName: "device"))
  var device: String

  @Option(
    help: ArgumentHelp(
      "Another program, which is started with the same arguments.",
      valueName: "program"
    ),
    completion: .file()
  )
  var with: String?

  @Option(
    help: ArgumentHelp("What the device is from now on, as for apus run.", valueName: "text")
  )
  var options: String?

  func validate() throws {
    guard (with == nil) != (options == nil) else {
      throw ValidationError("say what is to follow: --with PROGRAM or --options TEXT")
    }
    guard !"\(socket)\(device)\(with ?? "")\(options ?? "")".contains(where: \.isNewline),
      !device.contains(" ")
    else { throw ValidationError("\(device): a device has one word for a name") }
  }

  func run() throws {
    let change: ControlRequest.DeviceChange =
      if let with { .program(try absolute(with)) } else { .options(options ?? "") }
    _ = try ControlSocket.ask(socket, .replace(device: device, change))
    Run.note("\(device): another process serves it")
  }

  private func absolute(_ path: String) throws -> String {
    // SAFETY: with no room given, the call makes the text, which is ours.
    guard let found = unsafe realpath(path, nil) else {
      throw UserError(message: "--with \(path): \(SystemError(call: "", code: errno).reason)")
    }
    defer { unsafe free(found) }
    return unsafe String(cString: found)
  }
}
