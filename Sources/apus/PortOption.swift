import ArgumentParser
import Machine

/// `--port NAME=WHERE`, with WHERE as for a serial port.
struct PortOption: ExpressibleByArgument {
  var port: MachineConfiguration.Port

  init?(argument: String) {
    let pair = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      .map(String.init)
    guard pair.count == 2, let option = StreamOption(argument: pair[1]), option.stream != .none
    else { return nil }
    port = MachineConfiguration.Port(name: pair[0], stream: option.stream)
  }
}
