import ArgumentParser
import Machine
import Virtio

/// `--net tap=NAME|unix:PATH|fd=N[:N…]`, with more after commas; a comma in a path is written twice.
struct NetOption: ExpressibleByArgument {
  let network: MachineConfiguration.Network

  init?(argument: String) {
    let parts = OptionParts(argument)
    guard let link = Self.link(parts) else { return nil }
    var network = MachineConfiguration.Network(link)
    for (name, value) in parts.rest {
      guard Self.set(name, value, of: &network) else { return nil }
    }
    self.network = network
  }

  private static func link(_ parts: OptionParts) -> MachineConfiguration.Network.Link? {
    let text = parts.first
    if text.hasPrefix("tap=") { return .tap(String(text.dropFirst(4))) }
    if text.hasPrefix("unix:"), text.count > 5 {
      let isServer = parts.rest.contains { $0.name == "server" && $0.value == nil }
      return .unix(String(text.dropFirst(5)), isServer: isServer)
    }
    guard text.hasPrefix("fd=") else { return nil }
    let numbers = text.dropFirst(3).split(separator: ":", omittingEmptySubsequences: false)
      .map { Int32($0) }
    guard numbers.allSatisfy({ $0.map { $0 >= 0 } ?? false }) else { return nil }
    return .descriptors(numbers.compactMap { $0 })
  }

  private static func set(
    _ name: String,
    _ value: String?,
    of network: inout MachineConfiguration.Network
  ) -> Bool {
    switch (name, value) {
    case ("server", nil):
      guard case .unix = network.link else { return false }
    case ("mac", let value?):
      guard let address = MACAddress(value) else { return false }
      network.macAddress = address
    case ("mtu", let value?):
      guard let mtu = UInt16(value) else { return false }
      network.mtu = mtu
    case ("queues", let value?):
      guard let count = Int(value) else { return false }
      network.queuePairs = count
    case ("slot", let value?), ("address", let value?):
      guard let number = OptionParts.number(value) else { return false }
      network.address = number
    case ("rx-bytes", let value?): return setRate(value, &network.receiveLimit.bytes)
    case ("rx-packets", let value?): return setRate(value, &network.receiveLimit.operations)
    case ("tx-bytes", let value?): return setRate(value, &network.sendLimit.bytes)
    case ("tx-packets", let value?): return setRate(value, &network.sendLimit.operations)
    default: return false
    }
    return true
  }

  private static func setRate(_ text: String, _ rate: inout RateLimit.Rate?) -> Bool {
    rate = RateOption.rate(text)
    return rate != nil
  }
}
