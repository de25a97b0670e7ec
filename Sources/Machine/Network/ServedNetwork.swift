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
    func limiter(_ limit: RateLimit) -> RateLimiter? {
      limit == RateLimit() ? nil : RateLimiter(limit, clock: clock)
    }
    return try Net(
      backend,
      address: NetworkLink.address(of: network),
      mtu: network.mtu,
      limits: NetLimits(
        receive: limiter(network.receiveLimit),
        send: limiter(network.sendLimit)
      ),
      polling: .adaptive,
      name: "net"
    )
  }
}
