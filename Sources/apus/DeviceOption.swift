import ArgumentParser
import Machine
import RemoteDevice
import Virtio

/// `--device KIND,socket=PATH[,mac=M][,slot=N]`; a comma in the path is written twice.
struct DeviceOption: ExpressibleByArgument {
  let remote: MachineConfiguration.Remote

  init?(argument: String) {
    let parts = OptionParts(argument)
    guard let kind = MachineConfiguration.Remote.Kind(parts.first) else { return nil }
    var (socket, macAddress, address): (String?, MACAddress?, UInt64?)
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
      default: return nil
      }
    }
    guard let socket, !socket.isEmpty else { return nil }
    remote = MachineConfiguration.Remote(
      kind,
      socket: socket,
      macAddress: macAddress,
      address: address
    )
  }
}

extension MachineConfiguration.Remote.Kind {
  /// Every kind.
  private static var all: [Self] { VhostUserKind.allCases.map { .vhostUser($0) } + [.vfioUser] }

  /// The kind that a user names so.
  fileprivate init?(_ text: String) {
    guard let kind = Self.all.first(where: { $0.text == text }) else { return nil }
    self = kind
  }

  /// All kinds, for a list in a sentence.
  static var names: String { all.map(\.text).joined(separator: ", ") }
}
