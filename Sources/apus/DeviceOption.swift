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
    let (text, command) = Self.splitCommand(argument)
    let parts = OptionParts(text)
    guard var kind = MachineConfiguration.Remote.Kind(parts.first) else { return nil }
    var (socket, macAddress, address): (String?, MACAddress?, UInt64?)
    var generation = MPQEMUGeneration.current
    for (name, value) in parts.rest {
      guard let value else { return nil }
      switch (name, kind) {
      case ("socket", _): socket = value
      case ("mac", .vhostUser(.network)):
        guard let new = MACAddress(value), !new.isMulticast else { return nil }
        macAddress = new
      case ("slot", _), ("address", _):
        guard let number = OptionParts.number(value) else { return nil }
        address = number
      case ("generation", .mpqemu):
        guard let new = MPQEMUGeneration(rawValue: value) else { return nil }
        generation = new
      default: return nil
      }
    }
    if case .mpqemu = kind {
      guard (socket == nil) != (command == nil), command?.isEmpty != true else { return nil }
      let endpoint: MPQEMURemote.Endpoint =
        if let command { .command(command) } else { .socket(socket ?? "") }
      kind = .mpqemu(MPQEMURemote(endpoint, generation: generation))
      if command != nil { socket = command }
    }
    guard let socket, !socket.isEmpty else { return nil }
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

  /// All kinds, for a list in a sentence.
  static var names: String { all.map(\.text).joined(separator: ", ") }
}
