/// A payload on its way to becoming a message.
struct VfioUserForm {
  let command: VfioUserCommand
  let bytes: NativeBytes
  let descriptors: Int
  /// The most data that one message may carry.
  let dataLimit: Int

  /// The length of the payload.
  var count: Int { bytes.array.count }

  /// Checks the length of the payload and the number of descriptors.
  func check(
    _ expected: Int,
    descriptors allowed: ClosedRange<Int> = 0...0
  ) throws(VfioUserError) {
    guard count == expected else { throw .wrongSize(command, count, expected: expected) }
    try checkDescriptors(allowed)
  }

  /// Checks that the payload has a fixed part, which data may follow.
  func checkStart(
    _ expected: Int,
    descriptors allowed: ClosedRange<Int> = 0...0
  ) throws(VfioUserError) {
    guard count >= expected else { throw .wrongSize(command, count, expected: expected) }
    try checkDescriptors(allowed)
  }

  private func checkDescriptors(_ allowed: ClosedRange<Int>) throws(VfioUserError) {
    guard allowed.contains(descriptors) else {
      throw .wrongDescriptorCount(command, descriptors, expected: allowed)
    }
  }

  /// What follows the fixed part.
  func data(after start: Int) -> [UInt8] { Array(bytes.array[start...]) }

  /// As above, where the fixed part says how much that is.
  private func data(after start: Int, count said: UInt64) throws(VfioUserError) -> [UInt8] {
    guard said == UInt64(count - start) else {
      throw .badValue(command, "\(said) bytes of data in \(count - start)")
    }
    return data(after: start)
  }

  private func checkData(_ count: UInt64) throws(VfioUserError) {
    guard count <= UInt64(dataLimit) else {
      throw .badValue(command, "\(count) bytes of data, more than \(dataLimit)")
    }
  }

  func deviceInfo() throws(VfioUserError) -> VfioUserDeviceInfo {
    try check(VfioUserDeviceInfo.count)
    return VfioUserDeviceInfo(
      argumentSize: bytes.word(at: 0),
      flags: bytes.word(at: 4),
      regionCount: bytes.word(at: 8),
      interruptCount: bytes.word(at: 12)
    )
  }

  func interruptInfo() throws(VfioUserError) -> VfioUserInterruptInfo {
    try check(VfioUserInterruptInfo.count)
    return VfioUserInterruptInfo(
      argumentSize: bytes.word(at: 0),
      flags: bytes.word(at: 4),
      index: bytes.word(at: 8),
      interruptCount: bytes.word(at: 12)
    )
  }

  func regionInfo(isReply: Bool) throws(VfioUserError) -> VfioUserRegionInfo {
    if isReply {
      try checkStart(VfioUserRegionInfo.count, descriptors: 0...1)
    } else {
      try check(VfioUserRegionInfo.count)
    }
    return try VfioUserRegionInfo(bytes, command)
  }

  func regionIOFDs(isReply: Bool) throws(VfioUserError) -> VfioUserRegionIOFDs {
    if isReply {
      try checkStart(VfioUserRegionIOFDs.count, descriptors: 0...Int.max)
    } else {
      try check(VfioUserRegionIOFDs.count)
    }
    return try VfioUserRegionIOFDs(bytes, descriptors: descriptors, command)
  }

  func interruptSet() throws(VfioUserError) -> VfioUserInterruptSet {
    try checkStart(VfioUserInterruptSet.count, descriptors: 0...Int.max)
    return try VfioUserInterruptSet(bytes, descriptors: descriptors, command)
  }

  /// The start of an access to a region, at the front of the payload or at `place`.
  private func access(at place: Int = 0) -> VfioUserRegionAccess {
    VfioUserRegionAccess(
      offset: bytes.word(at: place),
      region: bytes.word(at: place + 8),
      count: bytes.word(at: place + 12)
    )
  }

  /// An access to a region without data.
  func regionAccess() throws(VfioUserError) -> VfioUserRegionAccess {
    try check(VfioUserRegionAccess.count)
    try checkData(UInt64(access().count))
    return access()
  }

  /// An access to a region with data.
  func regionData() throws(VfioUserError) -> (VfioUserRegionAccess, [UInt8]) {
    try checkStart(VfioUserRegionAccess.count)
    let access = access()
    try checkData(UInt64(access.count))
    return (access, try data(after: VfioUserRegionAccess.count, count: UInt64(access.count)))
  }

  func regionWrites() throws(VfioUserError) -> [VfioUserRegionWrite] {
    try checkStart(8)
    let number: UInt64 = bytes.word(at: 0)
    let room = (count - 8) / VfioUserRegionWrite.count
    guard number == UInt64(room), count == 8 + room * VfioUserRegionWrite.count else {
      throw .badValue(command, "\(number) writes in \(count) bytes")
    }
    var writes: [VfioUserRegionWrite] = []
    for index in 0..<room {
      let place = 8 + index * VfioUserRegionWrite.count
      let access = access(at: place)
      guard access.count <= 8 else {
        throw .badValue(command, "a write of \(access.count) bytes, more than 8")
      }
      writes.append(
        VfioUserRegionWrite(
          access: access,
          data: Array(bytes.array[(place + 16)..<(place + 24)])
        )
      )
    }
    return writes
  }

  func dmaMap() throws(VfioUserError) -> VfioUserDMAMap {
    try check(VfioUserDMAMap.count, descriptors: 0...1)
    return VfioUserDMAMap(
      argumentSize: bytes.word(at: 0),
      flags: bytes.word(at: 4),
      offset: bytes.word(at: 8),
      address: bytes.word(at: 16),
      size: bytes.word(at: 24)
    )
  }

  func dmaUnmap() throws(VfioUserError) -> VfioUserDMAUnmap {
    try check(VfioUserDMAUnmap.count)
    return VfioUserDMAUnmap(
      argumentSize: bytes.word(at: 0),
      flags: bytes.word(at: 4),
      address: bytes.word(at: 8),
      size: bytes.word(at: 16)
    )
  }

  func dmaAccess() throws(VfioUserError) -> VfioUserDMAAccess {
    try check(VfioUserDMAAccess.count)
    let access = VfioUserDMAAccess(address: bytes.word(at: 0), count: bytes.word(at: 8))
    try checkData(access.count)
    return access
  }

  func dmaData() throws(VfioUserError) -> (VfioUserDMAAccess, [UInt8]) {
    try checkStart(VfioUserDMAAccess.count)
    let access = VfioUserDMAAccess(address: bytes.word(at: 0), count: bytes.word(at: 8))
    try checkData(access.count)
    return (access, try data(after: VfioUserDMAAccess.count, count: access.count))
  }

  func feature() throws(VfioUserError) -> VfioUserFeature {
    try checkStart(VfioUserFeature.count)
    return VfioUserFeature(
      argumentSize: bytes.word(at: 0),
      flags: bytes.word(at: 4),
      data: data(after: VfioUserFeature.count)
    )
  }

  /// A piece of saved state; a question for one has no data.
  func migrationData(isQuestion: Bool = false) throws(VfioUserError) -> VfioUserMigrationData {
    try checkStart(VfioUserMigrationData.count)
    let size: UInt32 = bytes.word(at: 4)
    try checkData(UInt64(size))
    if isQuestion { try check(VfioUserMigrationData.count) }
    return VfioUserMigrationData(
      argumentSize: bytes.word(at: 0),
      size: size,
      data: isQuestion ? [] : try data(after: VfioUserMigrationData.count, count: UInt64(size))
    )
  }

  func number() throws(VfioUserError) -> UInt64 {
    try check(8)
    return bytes.word(at: 0)
  }
}
