import CLinux
import GuestMemory
import HostOS
import Testing
import TestSupport
import Virtio

/// A front end that breaks the protocol is cut off with one line that says what it sent; nothing of it is left, and the
/// next is served.
@Suite struct HostileFrontEndTests {
  typealias FrontEnd = VhostUserFrontEnd

  /// What a front end does, and what is said of it.
  struct Case: Sendable, CustomTestStringConvertible {
    let line: String
    let body: @Sendable (FrontEnd) throws -> Void

    init(_ line: String, _ body: @escaping @Sendable (FrontEnd) throws -> Void) {
      self.line = line
      self.body = body
    }

    var testDescription: String { line }
  }

  static func region(
    _ address: UInt64,
    _ size: UInt64,
    user: UInt64? = nil,
    offset: UInt64 = 0
  ) -> [UInt8] {
    FrontEnd.words(address, size, user ?? 0x1000_0000 + address, offset)
  }

  static let messages = [
    Case("request 1 has flags 0x0, not version 1") { try $0.send(1, flags: 0) },
    Case("request 1 has flags 0x2, not version 1") { try $0.send(1, flags: 2) },
    Case("reply to request 1") { try $0.send(1, flags: 5) },
    Case("request 5 has 4097 bytes") { try $0.send(5, size: 4097) },
    Case("request 4294967295 has 4294967295 bytes") { try $0.send(.max, size: .max) },
    Case("unknown request 0") { try $0.send(0) },
    Case("unknown request 45 with 8 bytes and 1 descriptors") { front in
      try front.send(45, FrontEnd.words(UInt64(0)), descriptors: [front.kicks[0].rawValue])
    },
    Case("GET_FEATURES with 8 bytes") { try $0.send(1, FrontEnd.words(UInt64(0))) },
    Case("SET_FEATURES with 0 bytes") { try $0.send(2) },
    Case("SET_FEATURES with 9 bytes") { try $0.send(2, [UInt8](repeating: 0, count: 9)) },
    Case("SET_FEATURES with 1 descriptors, not 0") { front in
      try front.send(2, FrontEnd.words(UInt64(0)), descriptors: [front.kicks[0].rawValue])
    },
    Case("features 0x2000000000000000 were not offered") {
      try $0.send(2, FrontEnd.words(UInt64(1) << 61))
    },
    Case("without VIRTIO_F_VERSION_1: legacy drivers") {
      try $0.send(2, FrontEnd.words(UInt64(1) << 28))
    },
    Case("features 0x20000 were not offered") { try $0.send(16, FrontEnd.words(UInt64(1) << 17)) },
    Case("POSTCOPY_ADVISE, which was not agreed on") { try $0.send(28) },
    Case("GET_STATUS, which was not agreed on") { try $0.send(40) },
    Case("SET_VRING_NUM for ring 64 of 1") {
      try $0.send(8, FrontEnd.words(UInt32(64), UInt32(8)))
    },
    Case("GET_VRING_BASE for ring 4294967295") {
      try $0.send(11, FrontEnd.words(UInt32.max, UInt32(0)))
    },
    Case("SET_VRING_ENABLE: 2 where 0 or 1 belongs") {
      try $0.send(18, FrontEnd.words(UInt32(0), UInt32(2)))
    },
    Case("SET_VRING_ADDR: flags 0x2") {
      try $0.send(9, FrontEnd.words(UInt32(0), UInt32(2)) + [UInt8](repeating: 0, count: 32))
    },
    Case("SET_VRING_KICK with 0 descriptors, not 1") { try $0.send(12, FrontEnd.words(UInt64(0))) },
    Case("SET_VRING_KICK with 1 descriptors, not 0") { front in
      try front.send(12, FrontEnd.words(UInt64(0x100)), descriptors: [front.kicks[0].rawValue])
    },
    Case("SET_VRING_CALL with 2 descriptors") { front in
      let numbers = front.calls.prefix(2).map(\.rawValue)
      try front.send(13, FrontEnd.words(UInt64(0)), descriptors: numbers)
    },
    Case("SET_VRING_KICK with a file, not an eventfd") { front in
      try front.send(12, FrontEnd.words(UInt64(0)), descriptors: [front.memoryNumber])
    },
    Case("SET_VRING_KICK: a descriptor that is no eventfd") { front in
      // An epoll is as anonymous as an eventfd.
      let epoll = OwnedFileDescriptor(adopting: epoll_create1(0))
      try front.send(12, FrontEnd.words(UInt64(0)), descriptors: [epoll.rawValue])
    },
    Case("SET_VRING_ERR with a unix stream socket, not an eventfd") { front in
      try front.send(14, FrontEnd.words(UInt64(0)), descriptors: [front.number])
    },
    Case("SET_BACKEND_REQ_FD with an eventfd") { front in
      _ = try front.negotiate()
      try front.send(21, descriptors: [front.kicks[0].rawValue])
    },
    Case("more than 32 descriptors") { front in
      let numbers = [Int32](repeating: front.kicks[0].rawValue, count: 40)
      try front.send(5, [], descriptors: numbers)
    },
    Case("the connection ended after 6 bytes") { front in
      try front.sendBytes([1, 0, 0, 0, 1, 0])
      front.close()
    },
    Case("the connection ended after 15 bytes") { front in
      try front.sendBytes(FrontEnd.words(UInt32(2), UInt32(1), UInt32(8)) + [1, 2, 3])
      front.close()
    },
    Case("GET_CONFIG: 257 bytes") { front in
      _ = try front.negotiate()
      try front.send(24, FrontEnd.words(UInt32(0), UInt32(257), UInt32(0)))
    },
    Case("GET_CONFIG with 12 bytes of payload, not 68") { front in
      _ = try front.negotiate()
      try front.send(24, FrontEnd.words(UInt32(0), UInt32(56), UInt32(0)))
    },
    Case("SET_STATUS: a status of 0x100") { front in
      _ = try front.negotiate()
      try front.send(39, FrontEnd.words(UInt64(0x100)))
    },
  ]

  static let memory = [
    Case("SET_MEM_TABLE: 9 regions") { try $0.send(5, FrontEnd.words(UInt32(9), UInt32(0))) },
    Case("SET_MEM_TABLE with 8 bytes of payload, not 40") {
      try $0.send(5, FrontEnd.words(UInt32(1), UInt32(0)))
    },
    Case("SET_MEM_TABLE with 1 descriptors, not 2") { front in
      let regions = region(0, 0x1000) + region(0x1000, 0x1000)
      try front.send(
        5,
        FrontEnd.words(UInt32(2), UInt32(0)) + regions,
        descriptors: [front.memoryNumber]
      )
    },
    Case("wraps or is empty") { try share($0, [region(0, 0)]) },
    Case("region of 8192 bytes at 0xfffffffffffff000") {
      try share($0, [region(.max - 0xFFF, 0x2000, user: 0)])
    },
    Case("user address 0xfffffffffffff000, offset 0 wraps") {
      try share($0, [region(0, 0x2000, user: .max - 0xFFF)])
    },
    Case("8392705 bytes at 0 are not in a file of 8388608") {
      try share($0, [region(0, 0x80_1001)])
    },
    Case("4096 bytes at 18446744073709547520 are not in a file") {
      try share($0, [region(0, 0x1000, offset: .max - 0xFFF)])
    },
    Case("overlaps region of 8192 bytes at 0x0") {
      try share($0, [region(0, 0x2000), region(0x1000, 0x1000, user: 0)])
    },
    Case("overlaps region of 4096 bytes at 0x8000") {
      try share($0, [region(0x8000, 0x1000, user: 0x5000), region(0, 0x1000, user: 0x4800)])
    },
    Case("SET_MEM_TABLE with an eventfd or the like, not a memory file") { front in
      try front.send(
        5,
        FrontEnd.words(UInt32(1), UInt32(0)) + region(0, 0x1000),
        descriptors: [front.kicks[0].rawValue]
      )
    },
    Case("no region of 4096 bytes at 0x7000") { front in
      _ = try front.negotiate()
      try front.shareMemory()
      try front.send(38, FrontEnd.words(UInt64(0)) + region(0x7000, 0x1000))
    },
    Case("SET_LOG_BASE: 4096 bytes at 8388608 are not in a file") { front in
      _ = try front.negotiate()
      try front.send(
        6,
        FrontEnd.words(UInt64(4096), UInt64(8 << 20)),
        descriptors: [front.memoryNumber]
      )
    },
    Case("SET_INFLIGHT_FD: 4096 bytes for 1 rings of 1024") { front in
      _ = try front.negotiate()
      try front.send(
        32,
        FrontEnd.words(UInt64(4096), UInt64(0), UInt16(1), UInt16(1024), UInt32(0)),
        descriptors: [front.memoryNumber]
      )
    },
    Case("GET_INFLIGHT_FD: 2 rings of 128") { front in
      _ = try front.negotiate()
      try front.send(
        31,
        FrontEnd.words(UInt64(0), UInt64(0), UInt16(2), UInt16(128), UInt32(0))
      )
    },
  ]

  static func share(_ front: FrontEnd, _ regions: [[UInt8]]) throws {
    try front.send(
      5,
      FrontEnd.words(UInt32(regions.count), UInt32(0)) + regions.joined(),
      descriptors: regions.map { _ in front.memoryNumber }
    )
  }

  @Test(arguments: messages + memory)
  func isCutOffAndTheNextIsServed(hostile: Case) throws {
    let rig = try VhostUserDiskRig()

    try hostile.body(rig.frontEnd)

    if rig.frontEnd.number >= 0 { try rig.frontEnd.waitForEnd() }
    #expect(rig.rig.waitForLine(hostile.line))
    #expect(rig.rig.log.notices.count == 1)
    try rig.rig.reconnect()
    try rig.start()
    #expect(try rig.readsSector(1))
  }

  @Test func nothingIsLeftOpen() async {
    await #expect(processExitsWith: .success) {
      let rig = try VhostUserDiskRig()
      var counts: Set<Int> = []
      for _ in 0..<3 {
        for hostile in Self.messages + Self.memory {
          try? hostile.body(rig.frontEnd)
          if rig.frontEnd.number >= 0 { try rig.frontEnd.waitForEnd() }
          try rig.rig.reconnect()
          try rig.start()
          _ = try rig.readsSector(1)
          try rig.rig.reconnect()
          // An answer, so that the one before is gone.
          _ = try rig.frontEnd.ask(1)
        }
        counts.insert(openDescriptorCount())
      }
      precondition(counts.count == 1, "\(counts) descriptors are open")
    }
  }

  @Test func refusalsAreToldToWhoAsksForThem() throws {
    let rig = try VhostUserDiskRig()
    _ = try rig.frontEnd.negotiate()

    // No translations are kept; the request has an answer of its own.
    try rig.frontEnd.send(22, [UInt8](repeating: 0, count: 32))
    #expect(
      FrontEnd.word(try rig.frontEnd.receiveReply(22).payload, at: 0, as: UInt64.self) == 1
    )
    #expect(throws: FrontEnd.Failure.refused(1)) {
      try rig.frontEnd.tell(2, FrontEnd.words(UInt64(1) << 61))
    }
    #expect(throws: FrontEnd.Failure.refused(1)) {
      try rig.frontEnd.tell(20, FrontEnd.words(UInt64(1500)))
    }
    #expect(throws: FrontEnd.Failure.refused(1)) {
      try rig.frontEnd.tell(8, FrontEnd.words(UInt32(0), UInt32(65536)))
    }
    #expect(try rig.frontEnd.ask(17) == 1)
  }

  @Test(
    arguments: [
      (0x3FF_F000, "descriptor area at"), (0x10008, "not aligned"), (0x3F_FFF0, "is in no region"),
    ] as [(UInt64, String)]
  )
  func aRingThatCannotBeIsNoReasonToEnd(place: UInt64, line: String) throws {
    let rig = try VhostUserDiskRig()
    rig.features = try rig.frontEnd.negotiate(withoutProtocol: 1 << 21)
    try rig.frontEnd.shareMemory()
    let good = try rig.makeQueue()
    let front = rig.frontEnd
    try front.tell(8, FrontEnd.words(UInt32(0), UInt32(64)))
    let user = FrontEnd.userBase
    try front.tell(
      9,
      FrontEnd.words(
        UInt32(0),
        UInt32(0),
        user + place,
        front.ringAddress(good.usedRing),
        front.ringAddress(good.availableRing),
        UInt64(0)
      )
    )
    try front.tell(14, FrontEnd.words(UInt64(0)), descriptors: [front.errors[0].rawValue])
    try front.tell(12, FrontEnd.words(UInt64(0)), descriptors: [front.kicks[0].rawValue])

    #expect(throws: FrontEnd.Failure.refused(1)) {
      try front.tell(18, FrontEnd.words(UInt32(0), UInt32(1)))
    }

    #expect(front.errors[0].drain() == 1)
    #expect(rig.rig.waitForLine(line))
    _ = try front.stopRing(0)
    rig.queue = good
    try front.startRing(0, good)
    #expect(try rig.readsSector(1))
  }

  @Test func aFrontEndThatDoesNotReadItsRepliesIsNotWaitedFor() throws {
    let rig = try VhostUserDiskRig()
    // More questions than answers fit in the socket: until no more is taken for a while.
    while try waitUntil(seconds: 1, { try SocketIO.send(rig.frontEnd.number, Self.question) > 0 }) {
    }
    #expect(
      waitUntil(seconds: 60) { rig.rig.log.notices.contains { $0.contains("not read for 10") } }
    )
    try rig.rig.reconnect()
    try rig.start()
    #expect(try rig.readsSector(1))
  }

  @Test func aMessageWhoseEndDoesNotComeIsNotWaitedFor() throws {
    let rig = try VhostUserDiskRig()
    try rig.frontEnd.sendBytes([1, 0, 0, 0])
    #expect(waitUntil(seconds: 20) { rig.rig.log.notices.contains { $0.contains("4 bytes of a") } })
    try rig.frontEnd.waitForEnd()
  }

  private static let question = FrontEnd.words(UInt32(1), UInt32(1), UInt32(0))[...]

  @Test func memoryThatIsCutShortEndsTheSessionAndNotTheProcess() throws {
    let rig = try VhostUserDiskRig()
    rig.features = try rig.frontEnd.negotiate(withoutProtocol: 1 << 21)
    let front = rig.frontEnd
    let file = try MemoryFile(count: 4 << 20)
    try front.tell(
      5,
      FrontEnd.words(UInt32(1), UInt32(0)) + Self.region(0, 4 << 20, user: FrontEnd.userBase),
      descriptors: [file.descriptor.rawValue]
    )
    let queue = try rig.makeQueue()
    try front.startRing(0, queue)
    try file.truncate(to: 0)

    front.kicks[0].signal()

    try front.waitForEnd()
    #expect(rig.rig.waitForLine("cut short while it was in use"))
    try rig.rig.reconnect()
    try rig.start()
    #expect(try rig.readsSector(1))
  }

  @Test func callEventfdsThatBlockHoldNobodyUp() throws {
    let rig = try VhostUserDiskRig()
    try rig.start(without: .eventIndex)
    let call = rig.frontEnd.calls[0]
    try call.makeFullAndBlocking()

    #expect(try rig.request(4) == 0)
    #expect(try rig.frontEnd.stopRing(0) == 0x8002_8002)
  }
}
