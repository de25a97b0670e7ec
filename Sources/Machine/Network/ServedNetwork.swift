import Platform
public import Virtio

/// A network interface's connection to the host, for a machine that is another process's.
public struct ServedNetwork {
  private let network: MachineConfiguration.Network
  private let backend: any NetBackend
  private let address: MACAddress

  /// Opens the connection.
  ///
  /// - Throws: What is wrong with the configuration (see ``Machine/isUserError(_:)``), or with the host.
  public init(_ network: MachineConfiguration.Network) throws {
    try network.validate()
    self.network = network
    backend = try NetworkLink.open(network)
    // Told by a file of the host.
    address = NetworkLink.address(of: network)
  }

  /// Makes the device on it, with threads of its own.
  ///
  /// - Throws: `SystemError` if the host has no room for them.
  public func make() throws -> Net {
    let clock = try HostClock()
    return try Net(
      backend,
      address: address,
      mtu: network.mtu,
      limits: network.limits(clock),
      polling: .adaptive,
      name: "net"
    )
  }
}
