import ArgumentParser
import Machine

/// `--port NAME=WHERE`, with WHERE as for a serial port.
struct PortOption: ExpressibleByArgument {
  var port: MachineConfiguration.Port

  init?(argument: String) {
    guard let option = try? Self(parsing: argument) else { return nil }
    self = option
  }

  /// Reads the option's text.
  init(parsing argument: String) throws(OptionFailure) {
    let pair = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      .map(String.init)
    guard pair.count == 2 else {
      throw OptionFailure(
        "it lacks where the port leads; such as \(argument.isEmpty ? "NAME" : argument)=unix:PATH"
      )
    }
    guard let option = StreamOption(argument: pair[1]), option.stream != .none else {
      throw OptionFailure("\(pair[1]) is none of stdio, file:F, pipe:F and unix:F")
    }
    port = MachineConfiguration.Port(name: pair[0], stream: option.stream)
  }
}
