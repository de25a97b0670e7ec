import Synchronization

/// The feature registers: 64 bits, seen through windows of 32 (virtio 1.2, 2.2).
extension VirtioDeviceController {
  /// Which 32 of the device's feature bits ``deviceFeatures`` shows.
  public var deviceFeatureSelect: UInt32 {
    get { registers.withLock { $0.deviceFeatureSelect } }
    set { registers.withLock { $0.deviceFeatureSelect = newValue } }
  }

  /// The selected feature bits that the device offers; none beyond bit 63.
  public var deviceFeatures: UInt32 {
    let select = deviceFeatureSelect
    guard select < 2 else { return 0 }
    return UInt32(truncatingIfNeeded: offered.rawValue >> (32 * UInt64(select)))
  }

  /// Which 32 of the driver's feature bits ``driverFeatures`` shows.
  public var driverFeatureSelect: UInt32 {
    get { registers.withLock { $0.driverFeatureSelect } }
    set { registers.withLock { $0.driverFeatureSelect = newValue } }
  }

  /// The selected feature bits that the driver wants.
  public var driverFeatures: UInt32 {
    get {
      registers.withLock { registers in
        guard registers.driverFeatureSelect < 2 else { return 0 }
        let shift = 32 * UInt64(registers.driverFeatureSelect)
        return UInt32(truncatingIfNeeded: registers.driverFeatures >> shift)
      }
    }
    set {
      // 3.1.1 step 5: no new feature bits after FEATURES_OK.
      guard !signals.status.contains(.featuresOK) else {
        signals.log.warning("driver changes its features after FEATURES_OK: ignored")
        return
      }
      registers.withLock { registers in
        guard registers.driverFeatureSelect < 2 else { return }
        let shift = 32 * UInt64(registers.driverFeatureSelect)
        registers.driverFeatures &= ~(0xFFFF_FFFF << shift)
        registers.driverFeatures |= UInt64(newValue) << shift
      }
    }
  }

  /// Whether the driver says with a notification how far it has come (virtio 1.2, 2.9).
  public var hasNotificationData: Bool { offered.intersection(wanted).contains(.notificationData) }

  /// The features that the driver wants, all 64.
  var wanted: VirtioFeatures {
    VirtioFeatures(rawValue: registers.withLock { $0.driverFeatures })
  }

  /// Why the driver's choice of features is no good, or `nil` if it is.
  func objection(to wanted: VirtioFeatures) -> String? { objection(to: wanted, of: offered) }

  /// Why the driver's choice of these features is no good, or `nil` if it is.
  func objection(to wanted: VirtioFeatures, of offered: VirtioFeatures) -> String? {
    let hex = "0x" + String(wanted.rawValue, radix: 16)
    // 2.2.1: the driver accepts no feature that was not offered.
    guard wanted.isSubset(of: offered) else {
      return "features \(hex) beyond the offered 0x\(String(offered.rawValue, radix: 16))"
    }
    // 6.1: the driver must accept VIRTIO_F_VERSION_1; 6.2 lets us fail without it.
    guard wanted.contains(.version1) else { return "features \(hex) without VIRTIO_F_VERSION_1" }
    return device.accepts(wanted) ? nil : "features \(hex), which do not go together"
  }
}
