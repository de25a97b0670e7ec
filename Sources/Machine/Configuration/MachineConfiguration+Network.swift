import DeviceModel
public import Virtio

extension MachineConfiguration {
  /// A network interface.
  public struct Network: Equatable, Sendable {
    /// What it is connected to.
    public enum Link: Equatable, Sendable {
      /// A tap interface of the host, which is made if there is none.
      case tap(String)
      /// A unix stream socket with another program: frames after their length in four bytes.
      case unix(String, isServer: Bool)
      /// Descriptors that we were started with: a socket, or the queues of a tap interface.
      case descriptors([Int32])
    }

    /// What it is connected to.
    public var link: Link
    /// The address; `nil` is one of its own that stays the same on this host.
    public var macAddress: MACAddress?
    /// How many pairs of queues a tap interface has; descriptors are one each.
    public var queuePairs = 1
    /// The most bytes of a packet; `nil` is what the link has.
    public var mtu: UInt16?
    /// How much the guest may receive.
    public var receiveLimit = RateLimit()
    /// How much the guest may send.
    public var sendLimit = RateLimit()
    /// Where it sits; see ``MachineConfiguration/Disk/address``.
    public var address: UInt64?

    /// Describes an interface that is connected to `link`.
    public init(_ link: Link) { self.link = link }

    /// The part of the option that says what it is connected to.
    public var text: String {
      switch link {
      case .tap(let name): "tap=\(name)"
      case .unix(let path, let isServer): "unix:\(path)" + (isServer ? ",server" : "")
      case .descriptors(let numbers): "fd=" + numbers.map { "\($0)" }.joined(separator: ":")
      }
    }
  }

  /// Checks what of the networks does not need the host.
  func validateNetworks() throws(NetworkError) {
    var texts: Set<String> = []
    var addresses: [MACAddress: String] = [:]
    for network in networks {
      guard texts.insert(network.text).inserted else { throw .taken(network.text) }
      try network.validate()
      guard let address = network.macAddress else { continue }
      if let other = addresses.updateValue(network.text, forKey: address) {
        throw .sameAddress(network.text, other: other, address)
      }
    }
  }
}

extension MachineConfiguration.Network {
  /// What keeps to the limits, each direction by itself.
  func limits(_ clock: any DeviceClock) -> NetLimits {
    NetLimits(
      receive: receiveLimit.makeLimiter(clock: clock),
      send: sendLimit.makeLimiter(clock: clock)
    )
  }

  /// Checks what does not need the host.
  func validate() throws(NetworkError) {
    let limit = TapBackend.queueLimit
    switch link {
    case .tap(let name):
      guard (1...15).contains(name.utf8.count), !name.contains("/") else { throw .name(name) }
      guard (1...limit).contains(queuePairs) else { throw .queues(text, queuePairs, limit: limit) }
    case .unix:
      guard queuePairs == 1 else { throw .queues(text, queuePairs, limit: 1) }
    case .descriptors(let numbers):
      guard (1...limit).contains(numbers.count), Set(numbers).count == numbers.count else {
        throw .descriptors(text)
      }
      guard queuePairs == 1 || queuePairs == numbers.count else {
        throw .queues(text, queuePairs, limit: numbers.count)
      }
    }
    if let mtu, mtu < 68 { throw .mtu(text, mtu) }
    if let macAddress, macAddress.isMulticast || macAddress.rawValue == 0 {
      throw .address(text, macAddress)
    }
  }
}
