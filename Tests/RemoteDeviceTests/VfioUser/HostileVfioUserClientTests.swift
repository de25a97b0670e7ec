import GuestMemory
import HostOS
import Testing
import TestSupport
import Virtio

/// A client that breaks the protocol is cut off with one line that says what it sent; nothing of it is left, and the next
/// is served.
@Suite(.timeLimit(.minutes(5))) struct HostileVfioUserClientTests {
  typealias Client = VfioUserTestClient

  /// What a client does after its greeting, and what is said of it.
  struct Case: Sendable, CustomTestStringConvertible {
    let line: String
    let body: @Sendable (Client) throws -> Void

    init(_ line: String, _ body: @escaping @Sendable (Client) throws -> Void) {
      self.line = line
      self.body = body
    }

    var testDescription: String { line }
  }

  static let messages = [
    Case("message 4 with flags 0x2") { try $0.send(4, flags: 2) },
    Case("message 4 of 15 bytes") { try $0.send(4, size: 15) },
    Case("message 4 of 4294967295 bytes") { try $0.send(4, size: .max) },
    Case("message 10 of 2097152 bytes") { try $0.send(10, size: 2 << 20) },
    Case("reply 7 to message 4") { try $0.send(4, flags: 1, id: 7) },
    Case("message 4 with flags 0x20") { try $0.send(4, flags: 0x20) },
    Case("a second greeting") { try $0.send(1, Client.words(UInt32(0))) },
    Case("DEVICE_GET_INFO with 0 bytes") { try $0.send(4) },
    Case("DMA_MAP with 31 bytes") { try $0.send(2, [UInt8](repeating: 0, count: 31)) },
    Case("DMA_MAP with 2 descriptors") { client in
      let event = try EventFD()
      try client.send(
        2,
        Client.mapping(0, 0x1000),
        descriptors: [event.rawValue, event.rawValue]
      )
    },
    Case("DMA_MAP: flags 0x7") { try $0.send(2, Client.mapping(0, 0x1000, flags: 7)) },
    Case("DMA_MAP: flags 0x0") { try $0.send(2, Client.mapping(0, 0x1000, flags: 0)) },
    Case("DEVICE_SET_IRQS with a file, not an eventfd") { client in
      let file = try MemoryFile(count: 0x1000)
      try client.send(8, Client.interrupts(0x24, 0), descriptors: [file.descriptor.rawValue])
    },
    Case("DEVICE_SET_IRQS with 2 descriptors, not 1") { client in
      let event = try EventFD()
      try client.send(
        8,
        Client.interrupts(0x24, 0),
        descriptors: [event.rawValue, event.rawValue]
      )
    },
    Case("DEVICE_SET_IRQS: flags 0x3f") { try $0.send(8, Client.interrupts(0x3F, 0)) },
    Case("DEVICE_SET_IRQS with 20 bytes") {
      try $0.send(8, Client.interrupts(0x22, 2, count: .max))
    },
    Case("interrupts from 4294967295 on") {
      try $0.send(8, Client.interrupts(0x21, 2, start: .max, count: .max))
    },
    Case("REGION_WRITE: 8 bytes of data in 4") {
      try $0.send(10, Client.words(UInt64(0), UInt32(0), UInt32(8), UInt32(0)))
    },
    Case("REGION_READ: 4294967295 bytes of data") {
      try $0.send(9, Client.words(UInt64(0), UInt32(0), UInt32.max))
    },
    Case("REGION_WRITE_MULTI: 18446744073709551615 writes") {
      try $0.send(15, Client.words(UInt64.max))
    },
    Case("REGION_WRITE_MULTI: a write of 9 bytes") {
      try $0.send(15, Client.words(UInt64(1), UInt64(0), UInt32(0), UInt32(9), UInt64(0)))
    },
    Case("a message with more than 32 descriptors") { client in
      let event = try EventFD()
      let numbers = [Int32](repeating: event.rawValue, count: 30)
      try client.sendBytes(Client.words(UInt16(0), UInt16(8)), descriptors: numbers)
      try client.sendBytes([1], descriptors: numbers)
    },
    Case("the connection ended after 5 bytes") { client in
      try client.sendBytes([0, 0, 1, 0, 9])
      client.close()
    },
  ]

  static let memory = [
    Case("DMA_MAP: 0x1000 bytes at 0x1 ") { try $0.send(2, Client.mapping(1, 0x1000)) },
    Case("DMA_MAP: 0x0 bytes at 0x0") { try $0.send(2, Client.mapping(0, 0)) },
    Case("bytes at 0xfffffffffffff000 from offset 0x0 wraps") {
      try $0.send(2, Client.mapping(0xFFFF_FFFF_FFFF_F000, 0x2000))
    },
    Case("from offset 0xfffffffffffff000 wraps") {
      try $0.send(2, Client.mapping(0, 0x2000, offset: 0xFFFF_FFFF_FFFF_F000))
    },
    Case("an eventfd or the like") { client in
      let event = try EventFD()
      try client.send(2, Client.mapping(1 << 40, 0x1000), descriptors: [event.rawValue])
    },
    Case("a unix stream socket") { client in
      let pair = try SocketPair()
      try client.send(2, Client.mapping(1 << 40, 0x1000), descriptors: [pair.far.rawValue])
    },
  ]

  static let greetings = [
    Case("DEVICE_GET_INFO: before any greeting") {
      try $0.send(4, Client.words(UInt32(16), UInt32(0), UInt32(0), UInt32(0)))
    },
    Case("VERSION with 3 bytes") { try $0.send(1, [0, 0, 0]) },
    Case("VERSION: text without its end") { try $0.send(1, [0, 0, 0, 0, 0x7B, 0x7D]) },
    Case("VERSION: text that is no JSON object") { try $0.send(1, [0, 0, 0, 0, 0x31, 0]) },
    Case("VERSION: ") { try $0.send(1, [0, 0, 0, 0] + Array(#"{"a":"#.utf8) + [0]) },
    Case("VERSION: ") {
      try $0.send(1, [0, 0, 0, 0] + [UInt8](repeating: 0x5B, count: 4000) + [0])
    },
    Case("max_data_xfer_size 0") {
      let text = #"{"capabilities":{"max_data_xfer_size":0}}"#
      try $0.send(1, [0, 0, 0, 0] + Array(text.utf8) + [0])
    },
    Case("capability max_msg_fds is not a whole number") {
      let text = #"{"capabilities":{"max_msg_fds":"many"}}"#
      try $0.send(1, [0, 0, 0, 0] + Array(text.utf8) + [0])
    },
  ]

  @Test(arguments: messages)
  func aClientIsCutOffForWhatItSends(hostile: Case) throws {
    let rig = try VfioUserDiskRig()
    let queue = try rig.start()
    #expect(try rig.readsSector(1, queue))

    try? hostile.body(rig.client)
    if rig.client.number >= 0 { try rig.client.waitForEnd() }

    #expect(rig.rig.waitForLine(hostile.line), "\(rig.rig.log.notices)")
    #expect(rig.rig.log.notices.count == 1)
    try rig.rig.reconnect()
    let next = try rig.start()
    #expect(try rig.readsSector(2, next))
  }

  @Test(arguments: memory)
  func memoryThatIsNoneIsRefused(hostile: Case) throws {
    let rig = try VfioUserDiskRig()
    let queue = try rig.start()

    try hostile.body(rig.client)

    let reply = try rig.client.receive()
    #expect(reply.command == 2 && reply.flags == 0x21 && reply.errorNumber == 22)
    #expect(rig.rig.waitForLine(hostile.line), "\(rig.rig.log.notices)")
    #expect(try rig.readsSector(2, queue))
  }

  @Test(arguments: greetings)
  func aClientIsCutOffForAGreetingThatIsNone(hostile: Case) throws {
    let rig = try VfioUserDiskRig()

    try? hostile.body(rig.client)
    try rig.client.waitForEnd()

    #expect(rig.rig.waitForLine(hostile.line), "\(rig.rig.log.notices)")
    #expect(rig.rig.log.notices.count == 1)
    try rig.rig.reconnect()
    let next = try rig.start()
    #expect(try rig.readsSector(2, next))
  }

  @Test func anotherMajorVersionIsRefused() throws {
    let rig = try VfioUserDiskRig()

    #expect(throws: Client.Failure.refused(22)) {
      try rig.client.ask(1, Client.words(UInt16(1), UInt16(0)))
    }
    #expect(try rig.client.greet().contains("max_msg_fds"))
  }

  @Test(
    arguments: [
      (0, 0x8000, 1), (0, 0x7FFF, 2), (0, .max, 4), (1, 0, 4), (6, 0, 4), (7, 0x100, 1),
      (7, 0xFF, 2),
      (8, 0, 1), (9, 0, 1), (.max, 0, 1), (0, 0, 0),
    ] as [(UInt32, UInt64, UInt32)]
  )
  func accessesOutsideOfARegionAreRefused(region: UInt32, offset: UInt64, count: UInt32) throws {
    let rig = try VfioUserDiskRig()
    let queue = try rig.start()

    #expect(throws: Client.Failure.refused(22)) {
      try rig.client.readRegion(region, offset, count: count)
    }
    let data = [UInt8](repeating: 0, count: Int(count))
    #expect(throws: Client.Failure.refused(22)) {
      try rig.client.writeRegion(region, offset, data)
    }
    try rig.client.postWrite(region, offset, data)
    #expect(try rig.readsSector(2, queue))
  }

  @Test(
    arguments: [
      (0x24, 0, 1, 1), (0x24, 0, 0, 2), (0x21, 2, 0, 3), (0x21, 2, 3, 0), (0x24, 1, 0, 1),
      (0x21, 5, 0, 0), (0x21, .max, 0, 0),
    ] as [(UInt32, UInt32, UInt32, UInt32)]
  )
  func interruptsThatAreNotThereAreRefused(
    flags: UInt32,
    kind: UInt32,
    start: UInt32,
    count: UInt32
  ) throws {
    let rig = try VfioUserDiskRig()
    let queue = try rig.start()

    #expect(throws: Client.Failure.refused(22)) {
      try rig.client.ask(8, Client.interrupts(flags, kind, start: start, count: count))
    }
    #expect(try rig.readsSector(2, queue))
  }

  @Test func aClientThatStopsInTheMiddleOfAMessageIsWaitedForNotForEver() throws {
    let rig = try VfioUserDiskRig(patience: 300_000_000)
    try rig.client.greet()
    try rig.client.sendBytes([1, 2, 3])

    try rig.client.waitForEnd()

    #expect(rig.rig.waitForLine("3 bytes of a message, and nothing more"))
    try rig.rig.reconnect()
    #expect(try rig.client.greet().contains("max_msg_fds"))
  }

  @Test func aClientThatReadsNoRepliesIsWaitedForNotForEver() throws {
    let rig = try VfioUserDiskRig(patience: 300_000_000)
    try rig.client.greet()
    let question = Client.words(UInt64(0), UInt32(7), UInt32(256))

    #expect(throws: Client.Failure.self) {
      while true { try rig.client.send(9, question) }
    }

    #expect(rig.rig.waitForLine("messages are not read for"))
    try rig.rig.reconnect()
    #expect(try rig.client.greet().contains("max_msg_fds"))
  }

  @Test func anEventfdThatItsOwnerHasFilledHoldsNobodyUp() throws {
    let rig = try VfioUserDiskRig()
    let queue = try rig.start(without: .eventIndex, vector: 1)
    try rig.vectors[1].makeFullAndBlocking()
    for sector in 0..<4 as Range<UInt64> { #expect(try rig.readsSector(sector, queue)) }

    try rig.rig.reconnect()

    let next = try rig.start()
    #expect(try rig.readsSector(2, next))
  }

  @Test func nothingIsLeftOpen() async {
    await #expect(processExitsWith: .success) {
      let rig = try VfioUserDiskRig()
      var counts: Set<Int> = []
      for round in 0..<3 {
        for hostile in Self.messages {
          let queue = try rig.start(vector: 1)
          _ = try rig.readsSector(1, queue)
          try? hostile.body(rig.client)
          if rig.client.number >= 0 { try rig.client.waitForEnd() }
          try rig.rig.reconnect()
          // An answer, so that the one before is gone.
          try rig.client.greet()
          try rig.rig.reconnect()
        }
        try rig.client.greet()
        // The thread that waits for eventfds is made once.
        if round > 0 { counts.insert(openDescriptorCount()) }
        try rig.rig.reconnect()
      }
      precondition(counts.count == 1, "\(counts) descriptors are open")
    }
  }
}
