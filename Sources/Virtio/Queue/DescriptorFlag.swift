/// The flags of a descriptor, in a split ring (virtio 1.2, 2.7.5) or a packed one (2.8.1, 2.8.3 to
/// 2.8.7).
enum DescriptorFlag {
  /// Another descriptor of the chain follows.
  static var next: UInt16 { 1 }
  /// The buffer is for the device to write.
  static var write: UInt16 { 2 }
  /// The buffer is a table of descriptors.
  static var indirect: UInt16 { 4 }
  /// Packed only: as the driver's wrap counter where it made the descriptor available (bit 7).
  static var available: UInt16 { 1 << 7 }
  /// Packed only: other than ``available`` until the device has used the descriptor (bit 15).
  static var used: UInt16 { 1 << 15 }
}
