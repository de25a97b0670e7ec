/// Making sense of a payload: its length, and how many descriptors came with it, against what the request has.
extension VhostUserMessage {
  /// The most regions of one table (`VHOST_MEMORY_BASELINE_NREGIONS`).
  static var regionLimit: Int { 8 }
  /// The longest piece of configuration.
  static var configurationLimit: UInt32 { 256 }

  /// Decodes a request.
  ///
  /// - Throws: ``VhostUserError`` for whatever is not of the form that the protocol gives it, and for
  ///   requests that this back end never offers.
  init(
    _ header: VhostUserHeader,
    _ payload: [UInt8],
    descriptors: Int
  ) throws(VhostUserError) {
    guard let request = VhostUserRequest(rawValue: header.request) else {
      throw .unknownRequest(header.request, size: header.size, descriptors: descriptors)
    }
    let form = Form(request, NativeBytes(payload), payload.count, descriptors)
    switch request {
    case .getFeatures, .setOwner, .resetOwner, .getProtocolFeatures, .getQueueCount, .resetDevice,
      .getMemorySlotCount, .getStatus:
      try form.check(0)
      self = Self.plain(request)
    case .setFeatures: self = .setFeatures(try form.number())
    case .setProtocolFeatures: self = .setProtocolFeatures(try form.number())
    case .setStatus: self = .setStatus(try form.number())
    case .sendRARP: self = .sendRARP(try form.number())
    case .setMTU: self = .setMTU(try form.number())
    case .setMemoryTable: self = .setMemoryTable(try form.table())
    case .setLogBase:
      try form.check(16, descriptors: 1...1)
      self = .setLogBase(size: form.bytes.word(at: 0), offset: form.bytes.word(at: 8))
    case .setLogFD:
      // Some send a number that means nothing.
      try form.check(form.count == 8 ? 8 : 0, descriptors: 1...1)
      self = .setLogFD
    case .setBackendSocket:
      try form.check(0, descriptors: 1...1)
      self = .setBackendSocket
    case .setRingSize:
      let (index, number) = try form.ring()
      self = .setRingSize(index, number)
    case .setRingBase:
      let (index, number) = try form.ring()
      self = .setRingBase(index, number)
    case .getRingBase: self = .getRingBase(try form.ring().index)
    case .setRingEnable:
      let (index, number) = try form.ring()
      guard number <= 1 else { throw .badValue(request, "\(number) where 0 or 1 belongs") }
      self = .setRingEnable(index, number == 1)
    case .setRingAddress: self = try form.ringAddresses()
    case .setRingKick:
      let (index, hasDescriptor) = try form.event()
      self = .setRingKick(index, hasDescriptor: hasDescriptor)
    case .setRingCall:
      let (index, hasDescriptor) = try form.event()
      self = .setRingCall(index, hasDescriptor: hasDescriptor)
    case .setRingError:
      let (index, hasDescriptor) = try form.event()
      self = .setRingError(index, hasDescriptor: hasDescriptor)
    case .translation:
      try form.check(form.count)
      self = .translation
    case .getConfiguration:
      let (offset, flags, bytes) = try form.configuration()
      self = .getConfiguration(offset: offset, size: UInt32(bytes.count), flags: flags)
    case .setConfiguration:
      let (offset, flags, bytes) = try form.configuration()
      self = .setConfiguration(offset: offset, flags: flags, bytes: bytes)
    case .getInflight: self = .getInflight(try form.inflight(descriptors: 0))
    case .setInflight: self = .setInflight(try form.inflight(descriptors: 1))
    case .addMemoryRegion: self = .addMemoryRegion(try form.region(descriptors: 1...1))
    // A descriptor that comes with it has no meaning, but some send one.
    case .removeMemoryRegion: self = .removeMemoryRegion(try form.region(descriptors: 0...1))
    case .setRingEndianness, .createCryptoSession, .closeCryptoSession, .postcopyAdvise,
      .postcopyListen, .postcopyEnd, .setGPUSocket, .ringKick, .getSharedObject, .setDeviceState,
      .checkDeviceState, .getSharedMemory:
      throw .notOffered(request)
    }
  }

  private static func plain(_ request: VhostUserRequest) -> Self {
    switch request {
    case .setOwner: .setOwner
    case .resetOwner: .resetOwner
    case .getProtocolFeatures: .getProtocolFeatures
    case .getQueueCount: .getQueueCount
    case .resetDevice: .resetDevice
    case .getMemorySlotCount: .getMemorySlotCount
    case .getStatus: .getStatus
    default: .getFeatures
    }
  }
}
