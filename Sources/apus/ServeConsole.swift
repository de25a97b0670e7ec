import ArgumentParser
import DeviceKit
import HostOS
import Machine

/// `apus serve console`: a virtio console.
struct ServeConsole: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "console",
    abstract: "Serve a console."
  )

  @Argument(
    help: ArgumentHelp("The host's end: file:F, pipe:F or unix:F.", valueName: "where")
  )
  var stream: StreamOption

  @OptionGroup var options: ServeOptions

  mutating func run() throws {
    switch stream.stream {
    case .file, .pipe, .unix: break
    default:
      throw UserError(message: "a served console has no terminal; give it file:F, pipe:F or unix:F")
    }
    var host: ServedConsole?
    defer { host?.stop() }
    try options.serve(SandboxPlan(.memory, device: "console")) {
      try ServedConsole(stream.stream)
    } make: { made in
      host = made
      try made.start()
      return made.device
    }
  }
}
