import Testing

@testable import RemoteDevice

/// Messages become what they mean, and what is meant becomes messages.
@Suite struct VfioUserMessageTests {
  private static let limit = 1 << 20

  @Test(arguments: ["kvm", "tcg", "msix-tcg"])
  func everythingThatARealClientSaidIsUnderstoodAndSaidAlike(name: String) throws {
    let recording = try VfioUserRecording("vfio-user-qemu11.1-\(name)")
    var kinds: Set<UInt16> = []
    for message in recording.messages {
      let header = try VfioUserHeader(
        parsing: message.bytes[..<VfioUserHeader.count],
        limit: Self.limit
      )
      kinds.insert(header.command)
      #expect(header.bytes == Array(message.bytes[..<VfioUserHeader.count]))
      guard message.isWhole else { continue }
      #expect(Int(header.size) == message.bytes.count)
      let (fromServer, again) = try Self.understand(message, header)
      #expect(fromServer == message.isServers)
      // The text of a greeting may be written in many ways.
      if header.command != VfioUserCommand.version.rawValue { #expect(again == message.bytes) }
    }
    #expect(kinds.count >= 10)
  }

  /// Decodes a message, and encodes it again; says who can have sent it.
  private static func understand(
    _ message: VfioUserRecording.Message,
    _ header: VfioUserHeader
  ) throws -> (fromServer: Bool, bytes: [UInt8]) {
    let command = try #require(VfioUserCommand(rawValue: header.command))
    let payload = Array(message.bytes[VfioUserHeader.count...])
    guard header.isReply else {
      let request = try VfioUserRequest(
        header,
        payload,
        descriptors: message.descriptors,
        fromServer: message.isServers,
        dataLimit: limit
      )
      return (
        command.isServers, request.message(id: header.id, wantsReply: header.wantsReply)
      )
    }
    let asked = VfioUserHeader(command, id: header.id, payloadCount: 0)
    guard !header.isError else {
      let failure = VfioUserHeader(failing: asked, Int32(header.errorNumber))
      return (!command.isServers, failure.bytes)
    }
    let reply = try VfioUserReply(
      to: command,
      payload,
      descriptors: message.descriptors,
      dataLimit: limit
    )
    return (!command.isServers, reply.message(to: asked))
  }

  @Test func aGreetingSaysWhatARealServerCanDo() throws {
    let recording = try VfioUserRecording("vfio-user-qemu11.1-kvm")
    let reply = try #require(recording.messages.first { $0.isServers })
    let greeting = try VfioUserReply(
      to: .version,
      Array(reply.bytes[VfioUserHeader.count...]),
      descriptors: 0,
      dataLimit: Self.limit
    )
    var expected = VfioUserCapabilities()
    expected.descriptorLimit = 8
    expected.writesMultiple = true
    #expect(greeting == .version(VfioUserVersion(expected)))
  }

  private static let requests: [VfioUserRequest] = [
    .version(VfioUserVersion(minor: 2, VfioUserCapabilities())),
    .mapDMA(VfioUserDMAMap(flags: 3, offset: 4096, address: 1 << 40, size: 1), hasDescriptor: true),
    .unmapDMA(VfioUserDMAUnmap(flags: 2, address: 5, size: 6)),
    .getInfo(VfioUserDeviceInfo()),
    .getRegionInfo(VfioUserRegionInfo(index: 7, argumentSize: 4096)),
    .getRegionIOFDs(VfioUserRegionIOFDs(argumentSize: 4096, index: 4)),
    .getInterruptInfo(VfioUserInterruptInfo(index: 2)),
    .setInterrupts(
      VfioUserInterruptSet(index: 2, start: 1, interruptCount: 1, data: .events, action: .trigger),
      hasDescriptors: true
    ),
    .setInterrupts(
      VfioUserInterruptSet(
        index: 2,
        start: 1,
        interruptCount: 3,
        data: .flags([1, 0, 1]),
        action: .trigger
      ),
      hasDescriptors: false
    ),
    .readRegion(VfioUserRegionAccess(offset: 3, region: 1, count: 4)),
    .writeRegion(VfioUserRegionAccess(offset: 3, region: 1, count: 3), [1, 2, 3]),
    .readDMA(VfioUserDMAAccess(address: 1 << 33, count: 512)),
    .writeDMA(VfioUserDMAAccess(address: 1 << 33, count: 2), [8, 9]),
    .reset,
    .writeRegions([
      VfioUserRegionWrite(
        access: VfioUserRegionAccess(offset: 1, region: 2, count: 1),
        data: [1, 2, 3, 4, 5, 6, 7, 8]
      )
    ]),
    .feature(VfioUserFeature(argumentSize: 10, flags: 0x10002, data: [1, 2])),
    .readMigrationData(VfioUserMigrationData(argumentSize: 8, size: 100)),
    .writeMigrationData(VfioUserMigrationData(argumentSize: 10, size: 2, data: [3, 4])),
  ]

  @Test(arguments: requests)
  func aRequestComesBackAsItWas(request: VfioUserRequest) throws {
    let message = request.message(id: 7)
    let header = try VfioUserHeader(parsing: message[..<16], limit: Self.limit)
    var descriptors = 0
    switch request {
    case .mapDMA(_, true), .setInterrupts(_, true): descriptors = 1
    default: break
    }
    let again = try VfioUserRequest(
      header,
      Array(message[16...]),
      descriptors: descriptors,
      fromServer: request.command.isServers,
      dataLimit: Self.limit
    )
    #expect(again == request)
    #expect(!header.isReply && header.wantsReply && header.id == 7)
  }

  @Test(arguments: requests)
  func aRequestThatIsCutShortIsNone(request: VfioUserRequest) throws {
    let payload = request.payload
    for count in payload.indices {
      let header = VfioUserHeader(request.command, id: 0, payloadCount: count)
      // Text may be left out of a greeting, and a feature may have less data.
      if request.command == .version && count == 4 { continue }
      if request.command == .feature && count >= 8 { continue }
      #expect(throws: VfioUserError.self, "\(count) bytes") {
        try VfioUserRequest(
          header,
          Array(payload[..<count]),
          descriptors: 0,
          fromServer: request.command.isServers,
          dataLimit: Self.limit
        )
      }
    }
  }

  @Test func aRequestFromTheWrongEndIsUnknown() {
    #expect(throws: VfioUserError.unknownCommand(13, size: 16, descriptors: 0)) {
      try VfioUserRequest(
        VfioUserHeader(.reset, id: 0, payloadCount: 0),
        [],
        descriptors: 0,
        fromServer: true,
        dataLimit: 0
      )
    }
    #expect(throws: VfioUserError.unknownCommand(11, size: 32, descriptors: 0)) {
      try VfioUserRequest(
        VfioUserHeader(.readDMA, id: 0, payloadCount: 16),
        [UInt8](repeating: 0, count: 16),
        descriptors: 0,
        fromServer: false,
        dataLimit: 0
      )
    }
  }

  private static let replies: [(VfioUserCommand, VfioUserReply)] = [
    (.mapDMA, .done),
    (.unmapDMA, .unmappedDMA(VfioUserDMAUnmap(address: 1, size: 2))),
    (.getInfo, .info(VfioUserDeviceInfo(flags: 3, regionCount: 9, interruptCount: 5))),
    (
      .getRegionInfo,
      .regionInfo(
        VfioUserRegionInfo(
          index: 2,
          argumentSize: UInt32(VfioUserRegionInfo.count(areas: 2)),
          flags: 7,
          size: 1 << 40,
          areas: [.init(offset: 0, size: 4096), .init(offset: 8192, size: 4096)]
        )
      )
    ),
    (
      .getRegionIOFDs,
      .regionIOFDs(
        VfioUserRegionIOFDs(
          argumentSize: UInt32(VfioUserRegionIOFDs.count(parts: 1)),
          index: 4,
          partCount: 1,
          parts: [.init(offset: 16, size: 2, descriptor: 0, flags: 1, dataMatch: 9)]
        )
      )
    ),
    (.getIRQInfo, .interruptInfo(VfioUserInterruptInfo(flags: 9, index: 2, interruptCount: 8))),
    (.readRegion, .region(VfioUserRegionAccess(offset: 4, region: 0, count: 2), [1, 2])),
    (.writeRegion, .wroteRegion(VfioUserRegionAccess(offset: 4, region: 0, count: 2))),
    (.readDMA, .dma(VfioUserDMAAccess(address: 4, count: 2), [1, 2])),
    (.writeDMA, .wroteDMA(VfioUserDMAAccess(address: 4, count: 2))),
    (.writeRegions, .wroteRegions(3)),
    (.feature, .feature(VfioUserFeature(argumentSize: 8, flags: 0x40001))),
    (
      .readMigrationData,
      .migrationData(VfioUserMigrationData(argumentSize: 9, size: 1, data: [5]))
    ),
  ]

  @Test(arguments: replies)
  func aReplyComesBackAsItWas(command: VfioUserCommand, reply: VfioUserReply) throws {
    let request = VfioUserHeader(command, id: 9, payloadCount: 0)
    let message = reply.message(to: request)
    let header = try VfioUserHeader(parsing: message[..<16], limit: Self.limit)
    #expect(header.isReply && header.id == 9 && !header.isError)
    let again = try VfioUserReply(
      to: command,
      Array(message[16...]),
      descriptors: command == .getRegionIOFDs ? 1 : 0,
      dataLimit: Self.limit
    )
    #expect(again == reply)
  }

  /// A message's header with one word changed.
  private static func header(
    size: UInt32 = 16,
    flags: UInt32 = 0,
    error: UInt32 = 0
  ) -> [UInt8] {
    var bytes = NativeBytes()
    bytes.append(UInt16(1))
    bytes.append(UInt16(13))
    for word in [size, flags, error] { bytes.append(word) }
    return bytes.array
  }

  @Test(arguments: [
    header(size: 15), header(size: 0), header(size: 4097), header(size: .max), header(flags: 2),
    header(flags: 0x20, error: 5), header(flags: 0x21), header(size: 17, flags: 0x21, error: 5),
  ])
  func aHeaderThatMakesNoSenseIsRefused(bytes: [UInt8]) {
    #expect(throws: VfioUserError.self) { try VfioUserHeader(parsing: bytes, limit: 4096) }
  }

  @Test(
    arguments: [
      // No action, two actions, no data, two kinds of it, an unknown flag.
      (0x01, 0), (0x19, 0), (0x20, 0), (0x23, 0), (0x61, 0),
      // More descriptors than interrupts, and descriptors where none belong.
      (0x24, 3), (0x21, 1),
    ] as [(UInt32, Int)]
  )
  func aChangeToInterruptsThatMakesNoSenseIsRefused(flags: UInt32, descriptors: Int) {
    var bytes = NativeBytes()
    for word in [20, flags, 2, 0, 2] as [UInt32] { bytes.append(word) }
    #expect(throws: VfioUserError.self) {
      try VfioUserRequest(
        VfioUserHeader(.setIRQs, id: 0, payloadCount: 20),
        bytes.array,
        descriptors: descriptors,
        fromServer: false,
        dataLimit: 4096
      )
    }
  }

  @Test func capabilitiesOfARegionCannotLeadAstray() {
    for place in [1, 16, 32, 36, 41, 1 << 31] as [UInt32] {
      var bytes = NativeBytes()
      for word in [48, 12, 2, place] as [UInt32] { bytes.append(word) }
      for word in [4096, 0] as [UInt64] { bytes.append(word) }
      // A capability that is its own successor.
      for word in [0x0001_0007, 32, 1000, 0] as [UInt32] { bytes.append(word) }
      #expect(throws: VfioUserError.self, "\(place)") {
        try VfioUserReply(to: .getRegionInfo, bytes.array, descriptors: 0, dataLimit: 4096)
      }
    }
  }

  @Test func moreDataThanWasAgreedOnIsRefused() {
    let access = VfioUserDMAAccess(address: 0, count: 4097)
    #expect(throws: VfioUserError.badValue(.readDMA, "4097 bytes of data, more than 4096")) {
      try VfioUserRequest(
        VfioUserHeader(.readDMA, id: 0, payloadCount: 16),
        VfioUserRequest.readDMA(access).payload,
        descriptors: 0,
        fromServer: true,
        dataLimit: 4096
      )
    }
  }
}
