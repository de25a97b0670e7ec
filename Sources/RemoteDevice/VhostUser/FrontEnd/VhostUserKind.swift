public import Virtio

/// A kind of device that a back end may serve to us, by the name that QEMU gives it.
public enum VhostUserKind: String, CaseIterable, Sendable {
  /// A disk (virtio 1.2, 5.2).
  case block = "vhost-user-blk"
  /// A network interface (5.1).
  case network = "vhost-user-net"
  /// A console (5.3).
  case console = "vhost-user-console"
  /// A source of random bytes (5.4).
  case entropy = "vhost-user-rng"
  /// Sockets (5.10).
  case sockets = "vhost-user-vsock"

  /// Which kind of virtio device it is.
  public var type: VirtioDeviceType {
    switch self {
    case .block: .block
    case .network: .network
    case .console: .console
    case .entropy: .entropy
    case .sockets: .socket
    }
  }

  /// The features of the device's own that a guest may have, if the back end has them.
  ///
  /// Left out is what a back end cannot know of, since it does not see the driver's commands: the
  /// control queue of network interfaces. Bits that the front end has to itself are its own.
  var features: VirtioFeatures {
    switch self {
    case .block:
      // SIZE_MAX, SEG_MAX, GEOMETRY, RO, BLK_SIZE, FLUSH, TOPOLOGY, CONFIG_WCE, MQ, DISCARD, WRITE_ZEROES.
      Self.features([1, 2, 4, 5, 6, 9, 10, 11, 12, 13, 14])
    case .network:
      [
        .netChecksum, .netGuestChecksum, .netGuestTCP4, .netGuestTCP6, .netGuestECN, .netGuestUFO,
        .netHostTCP4, .netHostTCP6, .netHostECN, .netHostUFO, .netMergeableBuffers, .netGuestUDP4,
        .netGuestUDP6, .netHostUDP,
      ]
    // SIZE, MULTIPORT, EMERG_WRITE.
    case .console: Self.features([0, 1, 2])
    case .entropy: []
    // STREAM, SEQPACKET, NO_IMPLIED_STREAM.
    case .sockets: Self.features([0, 1, 2])
    }
  }

  /// What a guest has from us, whatever the back end has.
  var ownFeatures: VirtioFeatures { self == .network ? [.netMAC, .netStatus] : [] }

  /// The length of the configuration as a guest finds it, in bytes.
  var configurationCount: Int {
    switch self {
    case .block: 60
    case .network: 12
    case .console: 12
    case .entropy: 0
    case .sockets: 8
    }
  }

  /// How much of it comes from the back end; as much as other front ends ask for.
  var remoteConfigurationCount: Int {
    switch self {
    case .block: 57
    case .network, .entropy: 0
    case .console, .sockets: configurationCount
    }
  }

  /// Where a driver may write to the configuration.
  var writableConfiguration: Range<Int> {
    switch self {
    // 5.2.4, `writeback`.
    case .block: 32..<33
    // 5.3.4, `emerg_wr`.
    case .console: 8..<12
    case .network, .entropy, .sockets: 0..<0
    }
  }

  /// Whether what was written there is a setting, which the next back end is to have too.
  var keepsConfiguration: Bool { self == .block }

  /// The most entries of each queue; front ends that are not told otherwise make them so.
  var queueSize: UInt16 { self == .network ? 256 : 128 }

  /// How many queues a guest finds, and how many of them, from the first on, the back end serves.
  ///
  /// - Parameter limit: How many a disk has, or a console of several ports.
  /// - Returns: Both numbers.
  func queues(atMost limit: Int) -> (count: Int, served: Int) {
    switch self {
    case .block: (limit, limit)
    case .network: (2, 2)
    case .console: (max(limit, 2), max(limit, 2))
    case .entropy: (1, 1)
    // 5.10.2: the third tells of a moved guest, which is not the back end's affair.
    case .sockets: (3, 2)
    }
  }

  /// Whether a back end that dies without a note of what is under way may have done it out of order,
  /// so that nobody knows what is left.
  var completesOutOfOrder: Bool { self == .block }

  private static func features(_ bits: [Int]) -> VirtioFeatures {
    bits.reduce(into: []) { $0.insert(VirtioFeatures(bit: $1)) }
  }
}
