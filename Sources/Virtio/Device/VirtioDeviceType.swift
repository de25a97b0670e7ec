/// The kind of a virtio device, by its device ID (virtio 1.2, 5).
public struct VirtioDeviceType: RawRepresentable, Hashable, Sendable {
  /// The device ID.
  public let rawValue: UInt16
  /// Wraps a device ID.
  public init(rawValue: UInt16) { self.rawValue = rawValue }

  /// A network interface (5.1).
  public static var network: Self { Self(rawValue: 1) }
  /// A disk (5.2).
  public static var block: Self { Self(rawValue: 2) }
  /// A console (5.3).
  public static var console: Self { Self(rawValue: 3) }
  /// A source of random bytes (5.4).
  public static var entropy: Self { Self(rawValue: 4) }
  /// A memory balloon (5.5).
  public static var balloon: Self { Self(rawValue: 5) }
  /// Sockets (5.10).
  public static var socket: Self { Self(rawValue: 19) }
}
