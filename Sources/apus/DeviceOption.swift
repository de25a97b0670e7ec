import ArgumentParser
import Machine
import RemoteDevice
import Virtio

/// `--device KIND,socket=PATH[,mac=M][,slot=N]`; a comma in the path is written twice.
///
/// For the multi-process protocol also `mpqemu[,slot=N][,generation=v8],exec=COMMAND`, where the command is all
/// of the rest, as it is.
struct DeviceOption: ExpressibleByArgument {
  let remote: MachineConfiguration.Remote

  init?(argument: String) {
    guard let option = try? Self(parsing: argument) else { return nil }
    self = option
  }

  /// Reads the option's text.
  init(parsing argument: String) throws(OptionFailure) {
    let (text, command) = Self.splitCommand(argument)
    let parts = OptionParts(text)
    guard var kind = MachineConfiguration.Remote.Kind(parts.first) else {
      throw OptionFailure(
        "\(parts.first.isEmpty ? "it" : parts.first) names no kind of device; there are "
          + MachineConfiguration.Remote.Kind.names
      )
    }
    var (socket, macAddress, address): (String?, MACAddress?, UInt64?)
    var generation = MPQEMUGeneration.current
    for (name, value) in parts.rest {
      switch (name, value, kind) {
      case ("socket", let value?, _): socket = value
      case ("mac", let value?, .vhostUser(.network)):
        guard let new = MACAddress(value), !new.isMulticast else {
          throw OptionFailure(
            "mac=\(value) is no interface's address; such as mac=52:54:00:12:34:56"
          )
        }
        macAddress = new
      case ("slot", let value?, _), ("address", let value?, _):
        guard let number = OptionParts.number(value) else {
          throw OptionFailure("\(name)=\(value) is no number; such as \(name)=5")
        }
        address = number
      case ("generation", let value?, .mpqemu):
        guard let new = MPQEMUGeneration(rawValue: value) else {
          let all = MPQEMUGeneration.allCases.map(\.rawValue).joined(separator: " and ")
          throw OptionFailure("generation=\(value) is unknown; there are \(all)")
        }
        generation = new
      default: throw .unknown(name, value, known: kind.options)
      }
    }
    if case .mpqemu = kind {
      guard (socket == nil) != (command == nil), command?.isEmpty != true else {
        throw OptionFailure("it takes one of socket=PATH and exec=COMMAND")
      }
      let endpoint: MPQEMURemote.Endpoint =
        if let command { .command(command) } else { .socket(socket ?? "") }
      kind = .mpqemu(MPQEMURemote(endpoint, generation: generation))
      if command != nil { socket = command }
    }
    guard let socket, !socket.isEmpty else {
      throw OptionFailure("it lacks the other process's socket: add ,socket=PATH")
    }
    remote = MachineConfiguration.Remote(
      kind,
      socket: socket,
      macAddress: macAddress,
      address: address
    )
  }

  /// The options of a device that a command serves, and the command.
  private static func splitCommand(_ text: String) -> (options: String, command: String?) {
    let mark = ",exec="
    guard text.hasPrefix("mpqemu,") else { return (text, nil) }
    var start = text.startIndex
    while start < text.endIndex {
      if text[start...].hasPrefix(mark) {
        return (String(text[..<start]), String(text[start...].dropFirst(mark.count)))
      }
      start = text.index(after: start)
    }
    return (text, nil)
  }
}

extension MachineConfiguration.Remote.Kind {
  /// Every kind.
  private static var all: [Self] {
    VhostUserKind.allCases.map { .vhostUser($0) } + [
      .vfioUser, .mpqemu(MPQEMURemote(.socket(""))),
    ]
  }

  /// The kind that a user names so.
  fileprivate init?(_ text: String) {
    guard let kind = Self.all.first(where: { $0.text == text }) else { return nil }
    self = kind
  }

  /// What may be said of a device of the kind.
  fileprivate var options: String {
    switch self {
    case .vhostUser(.network): "socket, mac and slot"
    case .mpqemu: "socket, exec, generation and slot"
    default: "socket and slot"
    }
  }

  /// All kinds, for a list in a sentence.
  static var names: String { all.map(\.text).joined(separator: ", ") }
}
