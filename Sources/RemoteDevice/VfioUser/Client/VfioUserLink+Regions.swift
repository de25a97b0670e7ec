/// Access to a device's regions.
extension VfioUserLink {
  /// Reads `count` bytes of a region.
  ///
  /// - Throws: ``VfioUserError``; for anything but what was asked for the connection has ended.
  func readRegion(
    _ region: UInt32,
    offset: UInt64,
    count: Int,
    _ deadline: UInt64? = nil
  ) throws(VfioUserError) -> [UInt8] {
    let access = VfioUserRegionAccess(offset: offset, region: region, count: UInt32(count))
    let answer = try ask(.readRegion(access), deadline: deadline)
    guard case .region(access, let data) = answer.reply else {
      throw end(.badValue(.readRegion, "not the \(count) bytes at \(offset) of region \(region)"))
    }
    return data
  }

  /// Writes to a region, and waits until that is done.
  ///
  /// - Throws: As ``readRegion(_:offset:count:_:)``.
  func writeRegion(
    _ region: UInt32,
    offset: UInt64,
    _ data: [UInt8],
    _ deadline: UInt64? = nil
  ) throws(VfioUserError) {
    let access = VfioUserRegionAccess(offset: offset, region: region, count: UInt32(data.count))
    let answer = try ask(.writeRegion(access, data), deadline: deadline)
    guard case .wroteRegion(access) = answer.reply else {
      throw end(
        .badValue(.writeRegion, "not the \(data.count) bytes at \(offset) of region \(region)")
      )
    }
  }

  /// Writes to a region, and does not wait for the server.
  func postRegion(_ region: UInt32, offset: UInt64, _ data: [UInt8]) throws(VfioUserError) {
    let access = VfioUserRegionAccess(offset: offset, region: region, count: UInt32(data.count))
    try post(.writeRegion(access, data))
  }
}
