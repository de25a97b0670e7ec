import Virtio

/// Extensions of the vhost-user protocol that both ends can agree on (`VHOST_USER_PROTOCOL_F_*`).
public struct VhostUserProtocolFeatures: OptionSet, Hashable, Sendable {
  /// The bits 0 to 63.
  public let rawValue: UInt64
  /// Wraps feature bits.
  public init(rawValue: UInt64) { self.rawValue = rawValue }
  private init(bit: UInt64) { rawValue = 1 << bit }

  /// The front end may ask how many queues there are.
  public static var multiQueue: Self { Self(bit: 0) }
  /// The dirty log comes as a descriptor.
  public static var sharedLog: Self { Self(bit: 1) }
  /// The back end announces a moved guest to the network.
  public static var rarp: Self { Self(bit: 2) }
  /// Any request may ask for an answer.
  public static var replyAck: Self { Self(bit: 3) }
  /// The front end says how large frames are.
  public static var mtu: Self { Self(bit: 4) }
  /// The back end may send requests, over a socket of its own.
  public static var backendRequests: Self { Self(bit: 5) }
  /// The front end reads and writes the device's configuration here.
  public static var configuration: Self { Self(bit: 9) }
  /// What is under way is noted in memory that outlives the back end.
  public static var inflight: Self { Self(bit: 12) }
  /// The front end may reset the device.
  public static var resetDevice: Self { Self(bit: 13) }
  /// Memory regions come and go one by one.
  public static var memorySlots: Self { Self(bit: 15) }
  /// The front end passes the virtio device status on.
  public static var status: Self { Self(bit: 16) }
  /// Rings are given by guest addresses, not by those of the front end.
  public static var guestAddresses: Self { Self(bit: 21) }
}

extension VirtioFeatures {
  /// `VHOST_F_LOG_ALL`: writes to guest memory are noted in a log.
  static var logAll: Self { Self(bit: 26) }
  /// `VHOST_USER_F_PROTOCOL_FEATURES`: there are extensions to agree on, and rings start disabled.
  static var protocolFeatures: Self { Self(bit: 30) }
  /// Bits that have a meaning between front end and back end only.
  static var vhost: Self { [.logAll, .protocolFeatures] }
}
