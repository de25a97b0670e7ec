import Glibc
import GuestMemory
import HostOS
import TestSupport
import Testing
import Virtio

/// A console with ports beside its terminal (virtio 1.2, 5.3).
@Suite(.timeLimit(.minutes(5))) struct ConsolePortTests {
  /// Messages by their numbers (5.3.6.2).
  private enum Event {
    static let deviceReady: UInt16 = 0
    static let add: UInt16 = 1
    static let portReady: UInt16 = 3
    static let console: UInt16 = 4
    static let resize: UInt16 = 5
    static let open: UInt16 = 6
    static let name: UInt16 = 7
  }

  /// The host's end of a port.
  private final class End {
    let socket: OwnedFileDescriptor

    init(_ socket: consuming OwnedFileDescriptor) { self.socket = socket }
  }

  /// A console with a terminal and two ports, `first` and `second`, or without a terminal.
  private final class Rig {
    let console: Console
    let rig: DeviceRig
    let queues: [MockQueue]
    /// The host's ends, by port.
    let ends: [End]
    private var next: UInt64 = 0x100000

    var driver: MockDriver { rig.driver }

    init(
      _ ring: RingKind = .packed,
      hasTerminal: Bool = true,
      size: (UInt16, UInt16)? = nil,
      controlBuffers: Int = 16,
      without: VirtioFeatures = []
    ) throws {
      var ends: [End] = []
      var ports: [ConsolePort] = []
      for name in [nil, "first", "second"] {
        let pair = try SocketPair()
        for number in [pair.near.rawValue, pair.far.rawValue] {
          try FileIO.setNonBlocking(number)
        }
        ends.append(End(try pair.near.duplicated()))
        ports.append(
          ConsolePort(
            name: name,
            input: try pair.far.duplicated(),
            output: try pair.far.duplicated()
          )
        )
      }
      self.ends = ends
      console = try Console(
        hasTerminal ? ports[0] : nil,
        ports: Array(ports[1...]),
        size: size.map { (columns: $0.0, rows: $0.1) }
      )
      rig = try DeviceRig(console)
      try rig.driver.negotiate(without: ring.isPacked ? without : without.union(.packedRing))
      let count: UInt16 = rig.driver.features.contains(.consoleMultiport) ? 8 : 2
      queues = try (0..<count).map { [driver = rig.driver] in try driver.makeQueue($0) }
      rig.driver.start()
      if count > 2 { for _ in 0..<controlBuffers { try addControlBuffer() } }
    }

    func addControlBuffer(_ count: UInt32 = 64) throws {
      try queues[2].add([.writable(next, count)])
      places.append(next)
      next += UInt64(count)
      try driver.kick(2, queues[2])
    }
    private var places: [UInt64] = []

    /// Says something over the control queue.
    func tell(_ event: UInt16, port: UInt32 = 0, value: UInt16 = 1) throws {
      let bytes =
        (0..<4).map { UInt8(truncatingIfNeeded: port >> (8 * $0)) }
        + [event, value].flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] }
      try rig.memory.write(bytes, at: GuestAddress(0x80000))
      try driver.request(3, queues[3], [.readable(0x80000, 8)])
    }

    /// The next message of the device; buffers come back in order.
    func heard() throws -> Message {
      let written = try driver.waitForUsed(queues[2]).written
      let bytes = try rig.memory.read(
        at: GuestAddress(places.removeFirst()),
        count: Int(written)
      )
      guard bytes.count >= 8 else { return Message(port: 0, event: 0xFFFF, value: 0) }
      return Message(
        port: UInt16(bytes[0]),
        event: UInt16(bytes[4]) | UInt16(bytes[5]) << 8,
        value: UInt16(bytes[6]) | UInt16(bytes[7]) << 8,
        rest: Array(bytes[8...])
      )
    }

    struct Message: Equatable {
      var port: UInt16
      var event: UInt16
      var value: UInt16 = 1
      var rest: [UInt8] = []
    }

    /// Goes through the start of a driver, and takes all messages of it.
    func start() throws {
      try tell(Event.deviceReady)
      let count = queues.count / 2 - 1
      for _ in 0..<count { _ = try heard() }
      for port in 0..<UInt32(count) {
        try tell(Event.portReady, port: port)
        for _ in 0..<2 { _ = try heard() }
      }
    }

    func say(_ text: String, _ end: Int) throws {
      _ = try FileIO.write(ends[end].socket.rawValue, Array(text.utf8)[...])
    }

    func hear(_ end: Int, _ count: Int) throws -> String {
      var bytes: [UInt8] = []
      try driver.wait {
        bytes += try FileIO.read(ends[end].socket.rawValue, atMost: 4096) ?? []
        return bytes.count >= count
      }
      return String(decoding: bytes, as: UTF8.self)
    }

    func read(_ place: UInt64, _ count: UInt32) throws -> String {
      String(
        decoding: try rig.memory.read(at: GuestAddress(place), count: Int(count)),
        as: UTF8.self
      )
    }
  }

  @Test(arguments: RingKind.allCases)
  func aDriverLearnsOfAllPortsAndTheirNames(ring: RingKind) throws {
    let rig = try Rig(ring)
    #expect(rig.rig.transport.readConfiguration(offset: 4, width: 4) == 3)

    try rig.tell(Event.deviceReady)
    for port in 0..<3 as Range<UInt16> {
      #expect(try rig.heard() == .init(port: port, event: Event.add))
    }
    try rig.tell(Event.portReady, port: 2)
    let name = Array("second".utf8)
    #expect(try rig.heard() == .init(port: 2, event: Event.name, rest: name))
    #expect(try rig.heard() == .init(port: 2, event: Event.open))
    try rig.tell(Event.portReady, port: 0)
    #expect(try rig.heard() == .init(port: 0, event: Event.console))
    #expect(try rig.heard() == .init(port: 0, event: Event.open))
    #expect(rig.rig.log.lines == [])
  }

  @Test func withoutATerminalThereAreThePorts() throws {
    let rig = try Rig(hasTerminal: false)
    try rig.tell(Event.deviceReady)
    #expect(try rig.heard() == .init(port: 1, event: Event.add))
    #expect(try rig.heard() == .init(port: 2, event: Event.add))
    try rig.driver.request(1, rig.queues[1], [.readable(0x200000, 5)])
    try rig.tell(Event.portReady, port: 0)
    #expect(rig.rig.log.lines.count == 1)
  }

  @Test func messagesWaitForBuffersWithRoomForThem() throws {
    let rig = try Rig(controlBuffers: 0)
    try rig.tell(Event.deviceReady)
    for _ in 0..<2 { try rig.addControlBuffer(8) }
    try rig.addControlBuffer(7)
    try rig.addControlBuffer(64)
    for port in 0..<2 as Range<UInt16> {
      #expect(try rig.heard() == .init(port: port, event: Event.add))
    }
    #expect(try rig.heard().event == 0xFFFF)
    #expect(try rig.heard() == .init(port: 2, event: Event.add))
    try rig.tell(Event.portReady, port: 1)
    try rig.addControlBuffer(8)
    #expect(try rig.heard().event == 0xFFFF)
    try rig.addControlBuffer(13)
    #expect(try rig.heard().rest == Array("first".utf8))
  }

  @Test(arguments: RingKind.allCases)
  func bytesGoBothWaysOverEachPort(ring: RingKind) throws {
    let rig = try Rig(ring)
    try rig.start()
    for (port, queue) in [(0, 0), (1, 4), (2, 6)] {
      try rig.tell(Event.open, port: UInt32(port))
      try rig.rig.memory.write(Array("guest \(port)".utf8), at: GuestAddress(0x200000))
      try rig.driver.request(UInt16(queue + 1), rig.queues[queue + 1], [.readable(0x200000, 7)])
      #expect(try rig.hear(port, 7) == "guest \(port)")
      try rig.say("host \(port)", port)
      let place = 0x210000 + 0x1000 * UInt64(port)
      let written = try rig.driver.request(
        UInt16(queue),
        rig.queues[queue],
        [.writable(place, 64)]
      )
      #expect(written == 6)
      #expect(try rig.read(place, 6) == "host \(port)")
    }
  }

  @Test func whatComesWaitsUntilSomebodyHasThePortOpen() throws {
    let rig = try Rig()
    try rig.start()
    try rig.queues[4].add([.writable(0x200000, 64)])
    try rig.driver.kick(4, rig.queues[4])
    try rig.say("early", 1)
    // The device has looked at the port by the time that it has served another.
    try rig.driver.request(7, rig.queues[7], [.readable(0x200000, 1)])
    #expect(try rig.queues[4].takeUsed() == nil)

    try rig.tell(Event.open, port: 1)

    #expect(try rig.driver.waitForUsed(rig.queues[4]).written == 5)
    #expect(try rig.read(0x200000, 5) == "early")
    try rig.tell(Event.open, port: 1, value: 0)
    try rig.queues[4].add([.writable(0x200000, 64)])
    try rig.driver.kick(4, rig.queues[4])
    try rig.say("late", 1)
    try rig.driver.request(7, rig.queues[7], [.readable(0x200000, 1)])
    #expect(try rig.queues[4].takeUsed() == nil)
  }

  @Test func portsStayOpenWhileTheMemoryIsReplaced() throws {
    let rig = try Rig()
    try rig.start()
    try rig.tell(Event.open, port: 1)
    rig.rig.controller.replaceMemory(with: rig.rig.memory)
    rig.console.setHostEnd(of: 2, open: false)
    rig.rig.controller.replaceMemory(with: rig.rig.memory)

    try rig.say("after", 1)
    #expect(try rig.driver.request(4, rig.queues[4], [.writable(0x200000, 64)]) == 5)
    #expect(try rig.read(0x200000, 5) == "after")
    #expect(try rig.heard() == .init(port: 2, event: Event.open, value: 0))
    #expect(rig.rig.log.lines == [])
  }

  @Test func theGuestLearnsWhoIsAtTheHostsEnd() throws {
    let rig = try Rig()
    rig.console.setHostEnd(of: 2, open: false)
    try rig.tell(Event.deviceReady)
    for _ in 0..<3 { _ = try rig.heard() }
    try rig.tell(Event.portReady, port: 2)
    #expect(try rig.heard().event == Event.name)

    rig.console.setHostEnd(of: 2, open: true)
    #expect(try rig.heard() == .init(port: 2, event: Event.open))
    rig.console.setHostEnd(of: 2, open: false)
    #expect(try rig.heard() == .init(port: 2, event: Event.open, value: 0))
    rig.console.setHostEnd(of: 2, open: true)
    #expect(try rig.heard() == .init(port: 2, event: Event.open))
  }

  @Test func oneThatCameAfterAnotherIsNotTakenForTheSame() throws {
    let rig = try Rig(controlBuffers: 9)
    try rig.start()
    // No message has a buffer, and each port has no more than two that wait.
    for _ in 0..<3 {
      rig.console.setHostEnd(of: 1, open: false)
      rig.console.setHostEnd(of: 1, open: true)
      try rig.driver.request(7, rig.queues[7], [.readable(0x200000, 1)])
    }
    rig.console.setHostEnd(of: 2, open: false)
    for _ in 0..<4 { try rig.addControlBuffer() }
    #expect(try rig.heard() == .init(port: 1, event: Event.open, value: 0))
    #expect(try rig.heard() == .init(port: 1, event: Event.open))
    #expect(try rig.heard() == .init(port: 2, event: Event.open, value: 0))
  }

  @Test func whatWasSaidComesBeforeTheEnd() throws {
    let rig = try Rig()
    try rig.start()
    try rig.tell(Event.open, port: 1)
    try rig.say("last words", 1)
    rig.console.setHostEnd(of: 1, open: false)
    try rig.driver.request(7, rig.queues[7], [.readable(0x200000, 1)])
    #expect(try rig.queues[2].takeUsed() == nil)

    for count in [4, 6] as [UInt32] {
      let written = try rig.driver.request(4, rig.queues[4], [.writable(0x200000, count)])
      #expect(written == count)
    }

    #expect(try rig.heard() == .init(port: 1, event: Event.open, value: 0))
  }

  @Test func aNewSizeIsAMessage() throws {
    let rig = try Rig(size: (80, 25))
    try rig.tell(Event.deviceReady)
    for _ in 0..<3 { _ = try rig.heard() }
    try rig.tell(Event.portReady, port: 0)
    #expect(try rig.heard().event == Event.console)
    #expect(try rig.heard() == .init(port: 0, event: Event.resize, rest: [80, 0, 25, 0]))
    #expect(try rig.heard().event == Event.open)

    rig.console.resize(columns: 300, rows: 50)

    #expect(try rig.heard() == .init(port: 0, event: Event.resize, rest: [44, 1, 50, 0]))
  }

  @Test func messagesThatMakeNoSenseArePassedOver() throws {
    let rig = try Rig()
    try rig.start()
    for (event, port) in [(9, 1), (6, 77), (3, 0xFFFF_FFFF), (1, 1)] as [(UInt16, UInt32)] {
      try rig.tell(event, port: port)
    }
    try rig.driver.request(3, rig.queues[3], [.readable(0x80000, 7)])
    try rig.driver.request(3, rig.queues[3], [.writable(0x80000, 8)])
    #expect(rig.rig.log.lines.count == 6)
    #expect(rig.rig.transport.status & 64 == 0)
    try rig.tell(Event.open, port: 1)
    try rig.say("x", 1)
    #expect(
      try rig.driver.request(4, rig.queues[4], [.writable(0x200000, 8)]) == 1
    )
  }

  @Test func aPortThatTheDriverCannotUseIsLeftAlone() throws {
    let rig = try Rig()
    try rig.start()
    try rig.tell(Event.portReady, port: 1, value: 0)
    #expect(rig.rig.log.lines.count == 1)
    rig.console.setHostEnd(of: 1, open: false)
    rig.console.setHostEnd(of: 2, open: false)
    #expect(try rig.heard() == .init(port: 2, event: Event.open, value: 0))
  }

  @Test func aDriverThatKnowsOnePortHasTheTerminal() throws {
    let rig = try Rig(without: .consoleMultiport)
    try rig.say("typed", 0)
    #expect(try rig.driver.request(0, rig.queues[0], [.writable(0x200000, 64)]) == 5)
    rig.console.setHostEnd(of: 1, open: false)
    try rig.driver.request(1, rig.queues[1], [.readable(0x200000, 5)])
    #expect(try rig.hear(0, 5) == "typed")
  }

  @Test func aDriverThatBeginsAnewFindsThePortsAnew() throws {
    let rig = try Rig()
    try rig.start()
    try rig.tell(Event.open, port: 1)
    rig.rig.transport.status = 0
    try rig.driver.negotiate()
    let receive = try rig.driver.makeQueue(2)
    let transmit = try rig.driver.makeQueue(3)
    rig.driver.start()
    try receive.add([.writable(0x200000, 64)])
    try rig.driver.kick(2, receive)
    try rig.rig.memory.write([0, 0, 0, 0, 0, 0, 1, 0], at: GuestAddress(0x80000))
    try rig.driver.request(3, transmit, [.readable(0x80000, 8)])
    #expect(try rig.driver.waitForUsed(receive).written == 8)
    #expect(try rig.rig.memory.load8(at: GuestAddress(0x200004)) == 1)
  }

  @Test(arguments: RingKind.allCases)
  func aControlQueueThatIsResetGoesOn(ring: RingKind) throws {
    let rig = try Rig(ring)
    try rig.start()
    #expect(rig.rig.transport.resetQueue(2))
    rig.console.setHostEnd(of: 1, open: false)
    let queue = try rig.driver.makeQueue(2, size: 4)
    try queue.add([.writable(0x200000, 64)])
    try rig.driver.kick(2, queue)
    #expect(try rig.driver.waitForUsed(queue).written == 8)
    #expect(try rig.rig.memory.load8(at: GuestAddress(0x200006)) == 0)
  }
}
