import ArgumentParser
import DeviceKit
import HostOS
import Machine
import Virtio

/// `apus serve console`: a virtio console.
struct ServeConsole: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "console",
    abstract: "Serve a console."
  )

  /// The host's end.
  enum Place: ExpressibleByArgument {
    case stream(StreamOption)
    /// With the monitor that has started the process, from this descriptor on.
    case link(Int32)

    init?(argument: String) {
      let start = "link:"
      if argument.hasPrefix(start) {
        guard let number = Int32(argument.dropFirst(start.count)), number > 2 else { return nil }
        self = .link(number)
      } else {
        guard let stream = StreamOption(argument: argument) else { return nil }
        self = .stream(stream)
      }
    }
  }

  @Argument(
    help: ArgumentHelp("The host's end: file:F, pipe:F or unix:F.", valueName: "where")
  )
  var place: Place

  @Option(name: .customLong("port"), help: .hidden)
  var ports: [String] = []

  @Flag(inversion: .prefixedNo, help: .hidden)
  var terminal = true

  @OptionGroup var options: ServeOptions

  mutating func run() throws {
    switch place {
    case .link(let first): try serve(from: first)
    case .stream(let stream): try serve(stream.stream)
    }
  }

  /// Serves a console whose ends the monitor has.
  private func serve(from first: Int32) throws {
    guard ports.count <= Console.portLimit else {
      throw UserError(message: "--port: a console has at most \(Console.portLimit) ports")
    }
    var plan = SandboxPlan(.memory, device: "console")
    // Whoever ends a connection of ports ends it for those that follow.
    plan.systemCalls?.removeAll { $0.name == "shutdown" }
    try options.serve(plan) { [ports, terminal] in
      try ConsoleLink(from: first, hasTerminal: terminal, names: ports)
    } make: {
      Console($0, name: "console")
    }
  }

  private func serve(_ stream: MachineConfiguration.Stream) throws {
    switch stream {
    case .file, .pipe, .unix: break
    default:
      throw UserError(message: "a served console has no terminal; give it file:F, pipe:F or unix:F")
    }
    guard ports.isEmpty, terminal else {
      throw UserError(message: "--port, --no-terminal: they go with link:N, which apus run says")
    }
    var host: ServedConsole?
    defer { host?.stop() }
    try options.serve(SandboxPlan(.memory, device: "console")) {
      try ServedConsole(stream)
    } make: { made in
      host = made
      try made.start()
      return made.device
    }
  }
}
