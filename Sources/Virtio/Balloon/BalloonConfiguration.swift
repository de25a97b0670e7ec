/// `struct virtio_balloon_config` (virtio 1.2, 5.5.4).
enum BalloonConfiguration {
  /// The length in bytes.
  static var count: Int { 16 }
  /// How many pages the device wants.
  static var targetOffset: Int { 0 }
  /// How many the driver has given; it writes that.
  static var actualOffset: Int { 4 }
  /// What the driver fills free pages with; it writes that.
  static var poisonOffset: Int { 12 }
  /// The bytes of a page, whatever the guest's own are.
  static var pageSize: UInt64 { 4096 }
}
