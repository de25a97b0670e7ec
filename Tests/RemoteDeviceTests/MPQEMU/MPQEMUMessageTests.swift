import Testing

@testable import RemoteDevice

/// What the messages of both generations mean, and which are none.
@Suite(.timeLimit(.minutes(5))) struct MPQEMUMessageTests {
  @Test func allThatRealPeersSaidIsUnderstoodAndSaidTheSame() throws {
    let capture = try MPQEMUCapture()
    #expect(capture.messages.count == 5290)
    var counts: [MPQEMUCommand: Int] = [:]
    for message in capture.messages {
      let decoded = try message.decoded()
      counts[decoded.command, default: 0] += 1
      #expect(decoded.bytes(in: .current) == message.bytes, "\(message.line)")
    }
    #expect(
      counts == [
        .syncMemory: 83, .setInterrupt: 1, .reset: 1, .readConfiguration: 175,
        .writeConfiguration: 67, .readBAR: 654, .writeBAR: 1706, .reply: 2603,
      ]
    )
  }

  @Test func theFirstMessageOfTheCaptureIsTheGuestsMemory() throws {
    let message = try MPQEMUCapture().messages[0].decoded()
    #expect(
      message
        == .syncMemory([
          MPQEMURegion(address: 0, size: 0xC0000, offset: 0),
          MPQEMURegion(address: 0x10_0000, size: 0xFF0_0000, offset: 0x10_0000),
        ])
    )
  }

  private static let all: [MPQEMUMessage] = [
    .syncMemory([MPQEMURegion(address: 0, size: 0x1000, offset: 0)]),
    .syncMemory(
      (0..<8).map { MPQEMURegion(address: $0 << 32, size: 0x1000 * ($0 + 1), offset: $0 << 40) }
    ),
    .reply(nil), .reply(0), .reply(.max),
    .writeConfiguration(MPQEMUConfigurationAccess(address: 0x10, value: .max, width: 4)),
    .readConfiguration(MPQEMUConfigurationAccess(address: 0xFF, width: 1)),
    .writeBAR(MPQEMUBARAccess(address: .max, value: 7, width: 8, isMemory: true)),
    .readBAR(MPQEMUBARAccess(address: 0xC000, width: 1, isMemory: false)),
    .setInterrupt, .reset,
  ]

  private func descriptors(_ message: MPQEMUMessage) -> Int {
    switch message {
    case .syncMemory(let regions): regions.count
    case .setInterrupt: 2
    default: 0
    }
  }

  private func decode(
    _ bytes: [UInt8],
    _ descriptors: Int,
    _ generation: MPQEMUGeneration
  ) throws(MPQEMUError) -> MPQEMUMessage {
    try MPQEMUMessage(
      MPQEMUHeader(parsing: bytes[0..<16]),
      Array(bytes[16...]),
      descriptors: descriptors,
      in: generation
    )
  }

  @Test(arguments: MPQEMUGeneration.allCases)
  func whatIsSaidIsUnderstood(generation: MPQEMUGeneration) throws {
    for message in Self.all + (generation == .v8 ? [.ping] : []) {
      let bytes = message.bytes(in: generation)
      #expect(try decode(bytes, descriptors(message), generation) == message)
    }
  }

  @Test func theOldGenerationSendsAllOfTheUnionButForConfigurationRegisters() {
    func size(_ message: MPQEMUMessage) -> Int { message.bytes(in: .v8).count - 16 }
    let access = MPQEMUConfigurationAccess(address: 0, width: 2)
    #expect(size(.readConfiguration(access)) == 12)
    #expect(
      MPQEMUMessage.readConfiguration(access).bytes(in: .v8)[0..<8] == [4, 0, 0, 0, 1, 0, 0, 0]
    )
    #expect(size(.readBAR(MPQEMUBARAccess(address: 0, width: 1, isMemory: true))) == 192)
    #expect(size(.reply(0)) == 192)
    #expect(size(.reply(nil)) == 0)
    #expect(size(.reset) == 192)
    #expect(size(.setInterrupt) == 0)
    #expect(size(.ping) == 0)
    #expect(MPQEMUMessage.ping.bytes(in: .v8)[0] == 9)
  }

  @Test(arguments: MPQEMUGeneration.allCases)
  func theFirstMessageTellsTheGeneration(generation: MPQEMUGeneration) {
    let firsts = Self.all.filter { $0.command != .reply && $0.command != .reset }
    for message in firsts {
      let header = MPQEMUHeader(parsing: message.bytes(in: generation)[0..<16])
      #expect(
        MPQEMUGeneration(first: header, descriptors: descriptors(message)) == generation,
        "\(message.command)"
      )
    }
  }

  @Test func paddingIsNotLookedAt() throws {
    var bytes = MPQEMUMessage.setInterrupt.bytes(in: .current)
    bytes[4] = 0xAA
    #expect(try decode(bytes, 2, .current) == .setInterrupt)
  }

  @Test func aResetWithAPayloadIsOne() throws {
    let bytes = MPQEMUHeader(command: 7, second: 0, size: 5).bytes + [1, 2, 3, 4, 5]
    #expect(try decode(bytes, 0, .current) == .reset)
  }

  @Test(arguments: [
    (Int32(8), 0, 0, "unknown command 8 with 0 bytes and 0 descriptors"),
    (-1, 0, 0, "unknown command -1"), (.max, 192, 8, "unknown command 2147483647"),
    (0, 192, 0, "SYNC_SYSMEM with 0 descriptors, not 1 to 8"),
    (0, 192, 9, "SYNC_SYSMEM with 9 descriptors, not 1 to 8"),
    (0, 191, 1, "SYNC_SYSMEM with 191 bytes of payload, not 192"),
    (1, 4, 0, "RET with 4 bytes of payload, not 0 or 8"),
    (1, 8, 1, "RET with 1 descriptors, not 0"),
    (2, 8, 0, "PCI_CFGWRITE with 8 bytes of payload, not 12"),
    (3, 24, 0, "PCI_CFGREAD with 24 bytes of payload, not 12"),
    (3, 12, 0, "PCI_CFGREAD of 0 bytes; 1 to 4 are served"),
    (4, 12, 0, "BAR_WRITE with 12 bytes of payload, not 24"),
    (5, 24, 1, "BAR_READ with 1 descriptors, not 0"),
    (6, 0, 1, "SET_IRQFD with 1 descriptors, not 2"),
    (6, 0, 3, "SET_IRQFD with 3 descriptors, not 2"),
    (6, 8, 2, "SET_IRQFD with 8 bytes of payload, not 0"),
  ]) func whatIsNoMessageIsRefusedWithItsNumbers(
    command: Int32,
    size: Int,
    descriptors: Int,
    line: String
  ) {
    let header = MPQEMUHeader(command: command, second: 0, size: size)
    let error = #expect(throws: MPQEMUError.self) {
      try MPQEMUMessage(
        header,
        [UInt8](repeating: 0, count: size),
        descriptors: descriptors,
        in: .current
      )
    }
    #expect("\(error.map { "\($0)" } ?? "")".hasPrefix(line))
  }

  @Test(arguments: [Int32(0), 5, 8, -1, .min, .max])
  func registersAreOneToFourBytes(width: Int32) {
    let message = MPQEMUMessage.readConfiguration(
      MPQEMUConfigurationAccess(address: 0, width: width)
    )
    #expect(throws: MPQEMUError.badWidth(.readConfiguration, Int64(width))) {
      try decode(message.bytes(in: .current), 0, .current)
    }
  }

  @Test func theOldGenerationMarksItsConfigurationMessages() {
    let bytes =
      MPQEMUHeader(command: 4, second: 0, size: 12).bytes + [UInt8](repeating: 1, count: 12)
    #expect(throws: MPQEMUError.notByteStream(.readConfiguration)) { try decode(bytes, 0, .v8) }
  }
}
