import Platform
public import Virtio

/// Makes a network device for a machine that is another process's.
public enum ServedNetwork {
  /// Opens the connection to the host, and makes the device on it.
  ///
  /// - Throws: What is wrong with the configuration (see ``Machine/isUserError(_:)``), or with the host.
  public static func make(_ network: MachineConfiguration.Network) throws -> Net {
    try network.validate()
    let backend = try NetworkLink.open(network)
    let clock = try HostClock()
    return try Net(
      backend,
      address: NetworkLink.address(of: network),
      mtu: network.mtu,
      limits: network.limits(clock),
      polling: .adaptive,
      name: "net"
    )
  }
}
