/// A set of virtio feature bits; those of a device type share the numbers 0 to 23 (virtio 1.2,
/// 2.2).
public struct VirtioFeatures: OptionSet, Hashable, Sendable {
  /// The bits 0 to 63.
  public let rawValue: UInt64
  /// Wraps feature bits.
  @inlinable public init(rawValue: UInt64) { self.rawValue = rawValue }
  /// The feature with the given number.
  @inlinable public init(bit: Int) { rawValue = 1 << UInt64(bit) }

  /// `VIRTIO_F_INDIRECT_DESC`: a descriptor may refer to a table of descriptors (6).
  @inlinable public static var indirectDescriptors: Self { Self(bit: 28) }
  /// `VIRTIO_F_EVENT_IDX`: each side says at which index it wants to hear next (6).
  @inlinable public static var eventIndex: Self { Self(bit: 29) }
  /// `VIRTIO_F_VERSION_1`: the driver follows this specification and not the legacy one (6).
  @inlinable public static var version1: Self { Self(bit: 32) }
  /// `VIRTIO_F_RING_PACKED`: queues are packed and not split (6).
  @inlinable public static var packedRing: Self { Self(bit: 34) }
  /// `VIRTIO_F_IN_ORDER`: the device uses buffers in the order in which they came (6).
  @inlinable public static var inOrder: Self { Self(bit: 35) }
  /// `VIRTIO_F_NOTIFICATION_DATA`: the driver says with a notification how far it has come (6).
  @inlinable public static var notificationData: Self { Self(bit: 38) }
  /// `VIRTIO_F_RING_RESET`: the driver may reset one queue (6).
  @inlinable public static var ringReset: Self { Self(bit: 40) }

  /// The features that every device here has, whatever its type and its transport.
  @inlinable public static var common: Self {
    [.indirectDescriptors, .eventIndex, .version1, .packedRing, .ringReset]
  }
}
