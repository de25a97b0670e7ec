/// A property of a device that can be probed, read, or set (`vfio_device_feature`).
struct VfioUserFeature: Equatable, Sendable {
  /// The length in bytes, without data.
  static var count: Int { 8 }
  static var getFlag: UInt32 { 1 << 16 }
  static var setFlag: UInt32 { 1 << 17 }
  static var probeFlag: UInt32 { 1 << 18 }

  /// Whether the device can be saved and restored, and how; can be read.
  static var migration: UInt16 { 1 }
  /// The state in which the device is; can be read and set.
  static var migrationState: UInt16 { 2 }

  /// Of ``migration``'s data: the state of a device that stands still can be read.
  static var stopCopyFlag: UInt64 { 1 << 0 }
  /// The length of the data of each of the two.
  static var dataCount: Int { 8 }

  var argumentSize: UInt32
  var flags: UInt32
  var data: [UInt8] = []

  /// Which property.
  var number: UInt16 { UInt16(truncatingIfNeeded: flags) }
}

extension VfioUserFeature {
  /// Asks for a property whose data have so many bytes.
  static func question(_ number: UInt16, count: Int = dataCount) -> Self {
    Self(
      argumentSize: UInt32(Self.count + count),
      flags: UInt32(number) | Self.getFlag
    )
  }

  /// Asks for a state of the device, or says in which it is.
  init(_ state: VfioUserMigrationState, flags: UInt32) {
    var bytes = NativeBytes()
    bytes.append(state.rawValue)
    // No descriptor: the data go by message.
    bytes.append(UInt32.max)
    self.init(
      argumentSize: UInt32(Self.count + Self.dataCount),
      flags: UInt32(Self.migrationState) | flags,
      data: bytes.array
    )
  }
}
