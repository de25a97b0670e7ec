/// A set of virtio feature bits; those of a device type share the numbers 0 to 23 (virtio 1.2, 2.2).
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

  /// The features that every device here has, whatever its type.
  @inlinable public static var common: Self { [.indirectDescriptors, .eventIndex, .version1] }
}
