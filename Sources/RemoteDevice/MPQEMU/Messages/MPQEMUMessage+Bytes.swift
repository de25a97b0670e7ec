/// Messages as they are sent, and what is made of those that come.
extension MPQEMUMessage {
  /// The most regions that a message has room for.
  static var regionLimit: Int { 8 }
  /// The most regions that a proxy may send: QEMU's remote takes no more.
  static var sentRegionLimit: Int { 7 }

  private static var tableCount: Int { 192 }

  /// Makes sense of a message.
  ///
  /// - Parameters:
  ///   - header: Its header, whose size is that of the payload.
  ///   - payload: What follows.
  ///   - descriptors: How many descriptors came with it.
  ///   - generation: Whose form it has.
  /// - Throws: ``MPQEMUError`` for whatever is not of the form that the protocol gives it.
  init(
    _ header: MPQEMUHeader,
    _ payload: [UInt8],
    descriptors: Int,
    in generation: MPQEMUGeneration
  ) throws(MPQEMUError) {
    guard let command = MPQEMUCommand(header.command, in: generation) else {
      throw .unknownCommand(header.command, size: header.size, descriptors: descriptors)
    }
    let form = Form(
      command: command,
      generation: generation,
      header: header,
      bytes: NativeBytes(payload),
      count: payload.count,
      descriptors: descriptors
    )
    switch command {
    case .syncMemory:
      try form.check([Self.tableCount], descriptors: 1...Self.regionLimit)
      self = .syncMemory(form.regions)
    case .reply:
      try form.check(generation == .v8 ? [0, Self.tableCount] : [0, 8], descriptors: 0...0)
      self = .reply(payload.isEmpty ? nil : form.bytes.word(at: 0))
    case .writeConfiguration: self = .writeConfiguration(try form.configurationAccess())
    case .readConfiguration: self = .readConfiguration(try form.configurationAccess())
    case .writeBAR: self = .writeBAR(try form.barAccess())
    case .readBAR: self = .readBAR(try form.barAccess())
    case .setInterrupt:
      try form.check([0], descriptors: 2...2)
      self = .setInterrupt
    // A payload of any length means nothing, and QEMU takes it.
    case .reset: self = .reset
    case .ping: self = .ping
    }
  }

  /// The message as it is sent, in the form of a generation that has it.
  func bytes(in generation: MPQEMUGeneration) -> [UInt8] {
    var payload = NativeBytes()
    // v8 sends the whole of what in C is a union, but for configuration registers.
    var count: Int?
    var second: UInt32 = 0
    switch self {
    case .syncMemory(let regions):
      for part in [\MPQEMURegion.address, \.size, \.offset] {
        for index in 0..<Self.regionLimit {
          payload.append(index < regions.count ? regions[index][keyPath: part] : 0)
        }
      }
    case .reply(let value?):
      payload.append(value)
      count = Self.tableCount
    case .reply(nil), .setInterrupt, .ping: break
    case .writeConfiguration(let access), .readConfiguration(let access):
      payload.append(access.address)
      payload.append(access.value)
      payload.append(UInt32(bitPattern: access.width))
      if generation == .v8 { second = 1 }
    case .writeBAR(let access), .readBAR(let access):
      payload.append(access.address)
      payload.append(access.value)
      payload.append(access.width)
      payload.append([access.isMemory ? 1 : 0, 0, 0, 0])
      count = Self.tableCount
    case .reset: count = Self.tableCount
    }
    if generation == .v8, let count {
      payload.append([UInt8](repeating: 0, count: count - payload.array.count))
    }
    guard let number = command.number(in: generation) else {
      preconditionFailure("\(command) in a generation that has none")
    }
    return MPQEMUHeader(command: number, second: second, size: payload.array.count).bytes
      + payload.array
  }

  /// A payload, and what is known of it.
  private struct Form {
    let command: MPQEMUCommand
    let generation: MPQEMUGeneration
    let header: MPQEMUHeader
    let bytes: NativeBytes
    let count: Int
    let descriptors: Int

    func check(_ counts: [Int], descriptors allowed: ClosedRange<Int>) throws(MPQEMUError) {
      guard counts.contains(count) else { throw .wrongSize(command, count, expected: counts) }
      guard allowed.contains(descriptors) else {
        throw .wrongDescriptorCount(command, descriptors, expected: allowed)
      }
    }

    var regions: [MPQEMURegion] {
      (0..<descriptors).map { index in
        MPQEMURegion(
          address: bytes.word(at: 8 * index),
          size: bytes.word(at: 64 + 8 * index),
          offset: bytes.word(at: 128 + 8 * index)
        )
      }
    }

    func configurationAccess() throws(MPQEMUError) -> MPQEMUConfigurationAccess {
      // Descriptors that come with it mean nothing, and QEMU takes them.
      try check([MPQEMUConfigurationAccess.count], descriptors: 0...regionLimit)
      guard generation == .current || header.second == 1 else {
        throw .notByteStream(command)
      }
      let width = Int32(bitPattern: bytes.word(at: 8))
      // QEMU copies so many bytes of a word.
      guard (1...4).contains(width), generation == .current || width != 3 else {
        throw .badWidth(command, Int64(width))
      }
      return MPQEMUConfigurationAccess(
        address: bytes.word(at: 0),
        value: bytes.word(at: 4),
        width: width
      )
    }

    func barAccess() throws(MPQEMUError) -> MPQEMUBARAccess {
      let size = generation == .v8 ? tableCount : MPQEMUBARAccess.count
      try check([size], descriptors: 0...0)
      let flag: UInt8 = bytes.word(at: 20)
      return MPQEMUBARAccess(
        address: bytes.word(at: 0),
        value: bytes.word(at: 8),
        width: bytes.word(at: 16),
        isMemory: flag != 0
      )
    }
  }
}
