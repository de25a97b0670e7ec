import DeviceModel

extension BusDevice {
  /// Reads as a driver would.
  func read(_ offset: UInt64, width: Int = 1, region: Int = 0) -> UInt64 {
    read(BusAccess(region: region, offset: offset, width: width))
  }

  /// Writes as a driver would.
  func write(_ offset: UInt64, _ value: UInt64, width: Int = 1, region: Int = 0) {
    write(value, BusAccess(region: region, offset: offset, width: width))
  }
}
