/// The reply to a request that succeeded, of sound form.
enum VfioUserReply: Equatable, Sendable {
  case version(VfioUserVersion)
  /// Nothing more is to be said.
  case done
  case unmappedDMA(VfioUserDMAUnmap)
  case info(VfioUserDeviceInfo)
  case regionInfo(VfioUserRegionInfo)
  case regionIOFDs(VfioUserRegionIOFDs)
  case interruptInfo(VfioUserInterruptInfo)
  case region(VfioUserRegionAccess, [UInt8])
  case wroteRegion(VfioUserRegionAccess)
  case dma(VfioUserDMAAccess, [UInt8])
  case wroteDMA(VfioUserDMAAccess)
  /// How many writes were made.
  case wroteRegions(UInt64)
  case feature(VfioUserFeature)
  case migrationData(VfioUserMigrationData)
}

extension VfioUserReply {
  /// Decodes the reply to a request of `command`, which is no error.
  ///
  /// Whether it fits what was asked for, such as how much was to be read, is left to who asked.
  ///
  /// - Parameters:
  ///   - command: What was asked.
  ///   - payload: What followed the header.
  ///   - descriptors: How many descriptors came with it.
  ///   - dataLimit: The most data that one message may carry.
  /// - Throws: ``VfioUserError`` for whatever is not of the form that the protocol gives it.
  init(
    to command: VfioUserCommand,
    _ payload: [UInt8],
    descriptors: Int,
    dataLimit: Int
  ) throws(VfioUserError) {
    let form = VfioUserForm(
      command: command,
      bytes: NativeBytes(payload),
      descriptors: descriptors,
      dataLimit: dataLimit
    )
    switch command {
    case .version:
      // The other end of a twin socket may come with it.
      try form.checkStart(4, descriptors: 0...Int.max)
      self = .version(try VfioUserVersion(form))
    case .mapDMA, .setIRQs, .reset, .writeMigrationData:
      try form.check(0)
      self = .done
    case .unmapDMA: self = .unmappedDMA(try form.dmaUnmap())
    case .getInfo: self = .info(try form.deviceInfo())
    case .getRegionInfo: self = .regionInfo(try form.regionInfo(isReply: true))
    case .getRegionIOFDs: self = .regionIOFDs(try form.regionIOFDs(isReply: true))
    case .getIRQInfo: self = .interruptInfo(try form.interruptInfo())
    case .readRegion:
      let (access, data) = try form.regionData()
      self = .region(access, data)
    case .writeRegion: self = .wroteRegion(try form.regionAccess())
    case .readDMA:
      let (access, data) = try form.dmaData()
      self = .dma(access, data)
    case .writeDMA: self = .wroteDMA(try form.dmaAccess())
    case .writeRegions: self = .wroteRegions(try form.number())
    case .feature: self = .feature(try form.feature())
    case .readMigrationData: self = .migrationData(try form.migrationData())
    }
  }

  /// The payload as it is sent.
  var payload: [UInt8] {
    var bytes = NativeBytes()
    switch self {
    case .version(let version): bytes.append(version.bytes)
    case .done: break
    case .unmappedDMA(let unmap): bytes.append(unmap)
    case .info(let info): bytes.append(info)
    case .regionInfo(let info): info.append(to: &bytes)
    case .regionIOFDs(let parts): parts.append(to: &bytes)
    case .interruptInfo(let info): bytes.append(info)
    case .region(let access, let data):
      bytes.append(access)
      bytes.append(data)
    case .wroteRegion(let access): bytes.append(access)
    case .dma(let access, let data):
      bytes.append(access)
      bytes.append(data)
    case .wroteDMA(let access): bytes.append(access)
    case .wroteRegions(let count): bytes.append(count)
    case .feature(let feature): bytes.append(feature)
    case .migrationData(let data): bytes.append(data)
    }
    return bytes.array
  }

  /// The message as it is sent.
  func message(to request: VfioUserHeader) -> [UInt8] {
    let payload = payload
    return VfioUserHeader(replyTo: request, payloadCount: payload.count).bytes + payload
  }
}
