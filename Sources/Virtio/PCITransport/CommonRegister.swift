/// The registers of the common configuration structure (virtio 1.2, 4.1.4.3).
///
/// The 64-bit ones are two of 32 bits, as 4.1.3.1 has the driver access them.
enum CommonRegister: UInt64 {
  case deviceFeatureSelect = 0x00
  case deviceFeature = 0x04
  case driverFeatureSelect = 0x08
  case driverFeature = 0x0C
  case configurationVector = 0x10
  case queueCount = 0x12
  case deviceStatus = 0x14
  case configurationGeneration = 0x15
  case queueSelect = 0x16
  case queueSize = 0x18
  case queueVector = 0x1A
  case queueEnable = 0x1C
  case queueNotifyOffset = 0x1E
  case queueDescriptorsLow = 0x20
  case queueDescriptorsHigh = 0x24
  case queueDriverLow = 0x28
  case queueDriverHigh = 0x2C
  case queueDeviceLow = 0x30
  case queueDeviceHigh = 0x34
  case queueNotifyData = 0x38
  case queueReset = 0x3A

  /// The length of the structure in bytes.
  static var count: UInt64 { 0x3C }

  /// The register of `width` bytes at `offset`; 4.1.3.1 allows no other way to reach it.
  init?(offset: UInt64, width: Int) {
    guard let register = Self(rawValue: offset), register.width == width else { return nil }
    self = register
  }

  private var width: Int {
    switch self {
    case .deviceStatus, .configurationGeneration: 1
    case .configurationVector, .queueCount, .queueSelect, .queueSize, .queueVector, .queueEnable,
      .queueNotifyOffset, .queueNotifyData, .queueReset:
      2
    case .deviceFeatureSelect, .deviceFeature, .driverFeatureSelect, .driverFeature,
      .queueDescriptorsLow, .queueDescriptorsHigh, .queueDriverLow, .queueDriverHigh,
      .queueDeviceLow, .queueDeviceHigh:
      4
    }
  }
}
