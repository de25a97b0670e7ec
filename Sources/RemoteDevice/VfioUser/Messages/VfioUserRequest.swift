/// A request of either end with its payload, both of sound form.
///
/// Descriptors are not part of it: they go beside the bytes.
enum VfioUserRequest: Equatable, Sendable {
  case version(VfioUserVersion)
  /// With the file that has the memory, or without: the server then reads and writes by message.
  case mapDMA(VfioUserDMAMap, hasDescriptor: Bool)
  case unmapDMA(VfioUserDMAUnmap)
  case getInfo(VfioUserDeviceInfo)
  case getRegionInfo(VfioUserRegionInfo)
  case getRegionIOFDs(VfioUserRegionIOFDs)
  case getInterruptInfo(VfioUserInterruptInfo)
  /// With one eventfd for each interrupt, or with none.
  case setInterrupts(VfioUserInterruptSet, hasDescriptors: Bool)
  case readRegion(VfioUserRegionAccess)
  case writeRegion(VfioUserRegionAccess, [UInt8])
  case readDMA(VfioUserDMAAccess)
  case writeDMA(VfioUserDMAAccess, [UInt8])
  case reset
  case writeRegions([VfioUserRegionWrite])
  case feature(VfioUserFeature)
  case readMigrationData(VfioUserMigrationData)
  case writeMigrationData(VfioUserMigrationData)
}

extension VfioUserRequest {
  /// Decodes a request.
  ///
  /// - Parameters:
  ///   - header: The header, which is that of a request.
  ///   - payload: What followed it.
  ///   - descriptors: How many descriptors came with it.
  ///   - isServers: Whether the server sent it.
  ///   - dataLimit: The most data that one message may carry.
  /// - Throws: ``VfioUserError`` for whatever is not of the form that the protocol gives it.
  init(
    _ header: VfioUserHeader,
    _ payload: [UInt8],
    descriptors: Int,
    fromServer isServers: Bool,
    dataLimit: Int
  ) throws(VfioUserError) {
    guard let command = VfioUserCommand(rawValue: header.command),
      command.isServers == isServers
    else {
      throw .unknownCommand(header.command, size: header.size, descriptors: descriptors)
    }
    let form = VfioUserForm(
      command: command,
      bytes: NativeBytes(payload),
      descriptors: descriptors,
      dataLimit: dataLimit
    )
    switch command {
    case .version:
      try form.checkStart(4)
      self = .version(try VfioUserVersion(form))
    case .mapDMA: self = .mapDMA(try form.dmaMap(), hasDescriptor: descriptors > 0)
    case .unmapDMA: self = .unmapDMA(try form.dmaUnmap())
    case .getInfo: self = .getInfo(try form.deviceInfo())
    case .getRegionInfo: self = .getRegionInfo(try form.regionInfo(isReply: false))
    case .getRegionIOFDs: self = .getRegionIOFDs(try form.regionIOFDs(isReply: false))
    case .getIRQInfo: self = .getInterruptInfo(try form.interruptInfo())
    case .setIRQs:
      self = .setInterrupts(try form.interruptSet(), hasDescriptors: descriptors > 0)
    case .readRegion: self = .readRegion(try form.regionAccess())
    case .writeRegion:
      let (access, data) = try form.regionData()
      self = .writeRegion(access, data)
    case .readDMA: self = .readDMA(try form.dmaAccess())
    case .writeDMA:
      let (access, data) = try form.dmaData()
      self = .writeDMA(access, data)
    case .reset:
      try form.check(0)
      self = .reset
    case .writeRegions: self = .writeRegions(try form.regionWrites())
    case .feature: self = .feature(try form.feature())
    case .readMigrationData:
      self = .readMigrationData(try form.migrationData(isQuestion: true))
    case .writeMigrationData: self = .writeMigrationData(try form.migrationData())
    }
  }

  /// The command's number.
  var command: VfioUserCommand {
    switch self {
    case .version: .version
    case .mapDMA: .mapDMA
    case .unmapDMA: .unmapDMA
    case .getInfo: .getInfo
    case .getRegionInfo: .getRegionInfo
    case .getRegionIOFDs: .getRegionIOFDs
    case .getInterruptInfo: .getIRQInfo
    case .setInterrupts: .setIRQs
    case .readRegion: .readRegion
    case .writeRegion: .writeRegion
    case .readDMA: .readDMA
    case .writeDMA: .writeDMA
    case .reset: .reset
    case .writeRegions: .writeRegions
    case .feature: .feature
    case .readMigrationData: .readMigrationData
    case .writeMigrationData: .writeMigrationData
    }
  }

  /// The payload as it is sent.
  var payload: [UInt8] {
    var bytes = NativeBytes()
    switch self {
    case .version(let version): bytes.append(version.bytes)
    case .mapDMA(let map, _): bytes.append(map)
    case .unmapDMA(let unmap): bytes.append(unmap)
    case .getInfo(let info): bytes.append(info)
    case .getRegionInfo(let info): info.append(to: &bytes)
    case .getRegionIOFDs(let parts): parts.append(to: &bytes)
    case .getInterruptInfo(let info): bytes.append(info)
    case .setInterrupts(let set, _): set.append(to: &bytes)
    case .readRegion(let access): bytes.append(access)
    case .writeRegion(let access, let data):
      bytes.append(access)
      bytes.append(data)
    case .readDMA(let access): bytes.append(access)
    case .writeDMA(let access, let data):
      bytes.append(access)
      bytes.append(data)
    case .reset: break
    case .writeRegions(let writes):
      bytes.append(UInt64(writes.count))
      for write in writes {
        bytes.append(write.access)
        bytes.append(write.data)
      }
    case .feature(let feature): bytes.append(feature)
    case .readMigrationData(let data), .writeMigrationData(let data): bytes.append(data)
    }
    return bytes.array
  }

  /// The message as it is sent.
  func message(id: UInt16, wantsReply: Bool = true) -> [UInt8] {
    let payload = payload
    let header = VfioUserHeader(
      command,
      id: id,
      payloadCount: payload.count,
      wantsReply: wantsReply
    )
    return header.bytes + payload
  }
}
