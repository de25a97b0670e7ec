/// The device status field (virtio 1.2, 2.1).
public struct VirtioStatus: OptionSet, Hashable, Sendable {
  /// The bits as the driver reads them.
  public let rawValue: UInt8
  /// Wraps the field.
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// The guest has noticed the device.
  public static var acknowledge: Self { Self(rawValue: 1) }
  /// The guest has a driver for it.
  public static var driver: Self { Self(rawValue: 2) }
  /// The driver is ready.
  public static var driverOK: Self { Self(rawValue: 4) }
  /// Both sides agree on the features.
  public static var featuresOK: Self { Self(rawValue: 8) }
  /// The device cannot go on until it is reset.
  public static var needsReset: Self { Self(rawValue: 64) }
  /// The driver has given up.
  public static var failed: Self { Self(rawValue: 128) }
}
