import Glibc
import GuestMemory
import HostOS
import TestSupport
import Testing
import Virtio

/// Streams between the guest and programs of the host (virtio 1.2, 5.10.6).
@Suite(.timeLimit(.minutes(5))) struct VsockTests {
  @Test func theConfigurationHasTheGuestsContext() throws {
    let rig = try VsockRig()
    #expect(rig.rig.transport.readConfiguration(offset: 0, width: 8) == 3)
    #expect(rig.rig.transport.deviceFeatures & 3 == 1)
  }

  @Test(arguments: RingKind.allCases)
  func theGuestConnectsToAProgram(ring: RingKind) throws {
    let rig = try VsockRig(ring)
    let listener = try rig.listen(80)

    try rig.send(VsockPacket(VsockPacket.request, from: 5000, to: 80))

    let program = try rig.accept(listener)
    let answer = try rig.next()
    #expect(answer.operation == VsockPacket.response)
    #expect((answer.source, answer.target) == (2, 3))
    #expect((answer.sourcePort, answer.targetPort) == (80, 5000))
    #expect(answer.bufferSize == 256 << 10)

    try rig.write(Array("to the host".utf8))
    #expect(try rig.read(program.rawValue, 11) == Array("to the host".utf8))
    try FileIO.writeAll(program.rawValue, Array("to the guest".utf8))
    let data = try rig.next()
    #expect(data.operation == VsockPacket.readWrite)
    #expect(data.data == Array("to the guest".utf8))
    #expect(data.forwarded == 11)
  }

  @Test(arguments: RingKind.allCases)
  func aProgramConnectsToTheGuest(ring: RingKind) throws {
    let rig = try VsockRig(ring)
    let program = try UnixSocket.connect(to: rig.path)
    // What comes after the line belongs to the guest.
    try FileIO.writeAll(program.rawValue, Array("CONNECT 1234\nhello".utf8))

    let request = try rig.next()
    #expect(request.operation == VsockPacket.request)
    #expect(request.targetPort == 1234)
    try rig.send(VsockPacket(VsockPacket.response, from: 1234, to: request.sourcePort))

    let line = Array("OK \(request.sourcePort)\n".utf8)
    #expect(try rig.read(program.rawValue, line.count) == line)
    #expect(try rig.next().data == Array("hello".utf8))
  }

  @Test func aLineMayComeInPieces() throws {
    let rig = try VsockRig()
    let program = try UnixSocket.connect(to: rig.path)
    for piece in ["con", "nect 12", "34", "\n"] {
      try FileIO.writeAll(program.rawValue, Array(piece.utf8))
      usleep(2000)
    }
    #expect(try rig.next().targetPort == 1234)
  }

  @Test(arguments: [
    "\n", "CONNECT\n", "CONNECT \n", "CONNECT x\n", "CONNECT 4294967296\n", "CONNECT 1 2\n",
    "CONNECT +1\n", "GET / HTTP/1.1\r\n\r\n", "CONNECT 11111111111111111111",
  ])
  func aProgramThatSaysSomethingElseIsClosed(text: String) throws {
    let rig = try VsockRig()
    let program = try UnixSocket.connect(to: rig.path)
    try FileIO.writeAll(program.rawValue, Array(text.utf8))
    #expect(try rig.read(program.rawValue, 1) == [])
    #expect(try rig.isQuiet())
  }

  @Test func aProgramThatTheGuestRefusesIsClosed() throws {
    let rig = try VsockRig()
    let program = try UnixSocket.connect(to: rig.path)
    try FileIO.writeAll(program.rawValue, Array("CONNECT 1234\n".utf8))
    let request = try rig.next()
    try rig.send(VsockPacket(VsockPacket.reset, from: 1234, to: request.sourcePort))
    #expect(try rig.read(program.rawValue, 1) == [])
  }

  @Test func aPortWhereNobodyListensIsRefused() throws {
    let rig = try VsockRig()
    try rig.send(VsockPacket(VsockPacket.request, from: 5000, to: 81))
    let answer = try rig.next()
    #expect(answer.operation == VsockPacket.reset)
    #expect((answer.sourcePort, answer.targetPort) == (81, 5000))
  }

  @Test func aProgramThatClosesIsTheEndOfBothWays() throws {
    let rig = try VsockRig()
    let program = try rig.connect()
    try FileIO.writeAll(program.rawValue, Array("last words".utf8))
    _ = consume program
    #expect(try rig.next().data == Array("last words".utf8))
    let end = try rig.next()
    #expect((end.operation, end.flags) == (VsockPacket.shutdown, 3))
    try rig.send(VsockPacket(VsockPacket.reset, from: 5000, to: 80))
    // It is gone: another one may have its ports.
    try rig.send(VsockPacket(VsockPacket.shutdown, from: 5000, to: 80))
    #expect(try rig.next().operation == VsockPacket.reset)
  }

  @Test func aProgramMayEndOneWayOnly() throws {
    let rig = try VsockRig()
    let program = try rig.connect()
    #expect(shutdown(program.rawValue, Int32(SHUT_WR)) == 0)
    let end = try rig.next()
    #expect((end.operation, end.flags) == (VsockPacket.shutdown, 2))
    try rig.write([1, 2, 3])
    #expect(try rig.read(program.rawValue, 3) == [1, 2, 3])
    _ = consume program
    let both = try rig.next()
    #expect((both.operation, both.flags) == (VsockPacket.shutdown, 3))
  }

  @Test func theGuestMayEndOneWayOnly() throws {
    let rig = try VsockRig()
    let program = try rig.connect()
    var end = VsockPacket(VsockPacket.shutdown, from: 5000, to: 80)
    end.flags = 2
    try rig.write([7])
    try rig.send(end)
    #expect(try rig.read(program.rawValue, 2) == [7])
    try FileIO.writeAll(program.rawValue, [8])
    #expect(try rig.next().data == [8])
    end.flags = 1
    try rig.send(end)
    #expect(try rig.next().operation == VsockPacket.reset)
    #expect(try rig.read(program.rawValue, 1) == [])
  }

  @Test func theEndOfBothWaysIsAnsweredOnceTheProgramHasEverything() throws {
    let rig = try VsockRig()
    let program = try rig.connect()
    // More than the socket takes: the rest waits in the device.
    let data = (0..<48).flatMap { index in [UInt8](repeating: UInt8(index), count: 4000) }
    for index in 0..<48 { try rig.write(Array(data[index * 4000..<(index + 1) * 4000])) }
    var end = VsockPacket(VsockPacket.shutdown, from: 5000, to: 80)
    end.flags = 3
    try rig.send(end)
    #expect(try rig.read(program.rawValue, data.count) == data)
    #expect(try rig.read(program.rawValue, 1) == [])
    var last = try rig.next()
    while last.operation == VsockPacket.creditUpdate { last = try rig.next() }
    #expect(last.operation == VsockPacket.reset)
  }

  @Test func aResetAfterTheGuestsEndLosesNothing() throws {
    let rig = try VsockRig()
    let program = try rig.connect()
    let data = [UInt8](repeating: 9, count: 4000)
    for _ in 0..<50 { try rig.write(data) }
    var end = VsockPacket(VsockPacket.shutdown, from: 5000, to: 80)
    end.flags = 3
    try rig.send(end)
    try rig.send(VsockPacket(VsockPacket.reset, from: 5000, to: 80))
    #expect(try rig.read(program.rawValue, 200_001).count == 200_000)
  }

  @Test func aGuestIsSentNoMoreThanItHasRoomFor() throws {
    let rig = try VsockRig()
    let program = try rig.connect(bufferSize: 5000)
    try FileIO.writeAll(program.rawValue, [UInt8](repeating: 1, count: 12_000))

    var count = 0
    while count < 5000 { count += try rig.next().data.count }
    #expect(count == 5000)
    #expect(try rig.next().operation == VsockPacket.creditRequest)
    #expect(try rig.isQuiet())
    var update = VsockPacket(VsockPacket.creditUpdate, from: 5000, to: 80)
    update.bufferSize = 5000
    update.forwarded = 3000
    try rig.send(update)

    #expect(try rig.next().data.count == 3000)
    #expect(try rig.next().operation == VsockPacket.creditRequest)
    update.forwarded = 8000
    update.bufferSize = 1 << 20
    try rig.send(update)
    #expect(try rig.next().data.count == 4000)
  }

  @Test func theGuestLearnsOfRoomBeforeItHasNone() throws {
    let rig = try VsockRig()
    let program = try rig.connect()
    let data = [UInt8](repeating: 3, count: 4000)
    var sent = 0
    for _ in 0..<17 {
      try rig.write(data)
      sent += data.count
      _ = try rig.read(program.rawValue, data.count)
    }
    let update = try rig.next()
    #expect(update.operation == VsockPacket.creditUpdate)
    #expect(update.forwarded >= 65536 && update.forwarded <= UInt32(sent))
    try rig.send(VsockPacket(VsockPacket.creditRequest, from: 5000, to: 80))
    #expect(try rig.next().forwarded == UInt32(sent))
  }

  @Test func packetsWaitForBuffers() throws {
    let rig = try VsockRig(buffers: 0)
    let listener = try rig.listen(80)
    try rig.send(VsockPacket(VsockPacket.request, from: 5000, to: 80))
    let program = try rig.accept(listener)
    try FileIO.writeAll(program.rawValue, [1])
    try rig.send(VsockPacket(VsockPacket.request, from: 5001, to: 81))
    try rig.addBuffers(3)
    let operations = try (0..<3).map { _ in try rig.next(refill: false).operation }
    #expect(
      operations.sorted()
        == [VsockPacket.response, VsockPacket.reset, VsockPacket.readWrite].sorted()
    )
  }

  @Test func manyConnectionsShareTheQueues() throws {
    let rig = try VsockRig()
    var numbers: [Int32] = []
    defer { numbers.forEach { _ = close($0) } }
    for port in 0..<20 {
      numbers.append(try UnixSocket.connect(to: rig.path).release())
      let line = Array("CONNECT \(port)\n".utf8)
      try FileIO.writeAll(numbers[port], line + [UInt8](repeating: UInt8(port), count: 10_000))
    }
    var counts: [UInt32: Int] = [:]
    while counts.values.reduce(0, +) < 200_000 {
      let packet = try rig.next()
      switch packet.operation {
      case VsockPacket.request:
        try rig.send(
          VsockPacket(VsockPacket.response, from: packet.targetPort, to: packet.sourcePort)
        )
      default:
        #expect(packet.data.allSatisfy { $0 == UInt8(packet.targetPort) })
        counts[packet.targetPort, default: 0] += packet.data.count
      }
    }
    #expect(counts.count == 20 && counts.values.allSatisfy { $0 == 10_000 })
  }

  @Test func aResetOfTheDeviceClosesEverything() throws {
    let rig = try VsockRig()
    let program = try rig.connect()
    rig.rig.transport.status = 0
    #expect(try rig.read(program.rawValue, 1) == [])
  }

  @Test func connectionsOutliveTheResetOfAQueue() throws {
    let rig = try VsockRig()
    let program = try rig.connect()
    #expect(rig.rig.transport.resetQueue(0))
    try FileIO.writeAll(program.rawValue, [5])
    let queue = try rig.driver.makeQueue(0)
    try queue.add([.writable(0x300000, 4096)])
    try rig.driver.kick(0, queue)
    #expect(try rig.driver.waitForUsed(queue).written == 45)
  }

  // As behind a vhost-user front end that changes the guest's memory.
  @Test(arguments: RingKind.allCases)
  func connectionsOutliveASuspension(ring: RingKind) throws {
    let memory = try GuestMemory(count: 1 << 20)
    let folder = try TemporaryFolder()
    let vsock = try Vsock(VsockSockets(path: folder.path(of: "vsock")), guestCID: 3)
    let listener = try UnixListener(path: folder.path(of: "vsock_80"))
    var features: VirtioFeatures = [.version1, .inOrder]
    if ring.isPacked { features.insert(.packedRing) }
    let queues = try (0..<2).map { index in
      try MockQueue(
        in: memory,
        at: GuestAddress(0x10000 * UInt64(index + 1)),
        size: 16,
        isPacked: ring.isPacked
      )
    }
    let kicks = try (0..<2).map { _ in try EventFD() }
    let signals = VirtioSignals(
      "vsock",
      interrupts: RecordingInterrupts(),
      logger: RecordedLog().makeLogger()
    )
    func activate() throws {
      let configurations = queues.indices.map { index in
        var configuration = VirtqueueConfiguration(
          index: index,
          size: 16,
          descriptorTable: queues[index].descriptorTable,
          availableRing: queues[index].availableRing,
          usedRing: queues[index].usedRing,
          features: features,
          kick: kicks[index]
        )
        configuration.state = signals.takeState(of: index) ?? configuration.state
        return configuration
      }
      try vsock.activate(
        VirtioActivation(
          features: features,
          memory: memory,
          queues: configurations,
          signals: signals
        )
      )
    }
    func send(_ packet: VsockPacket) throws {
      try memory.write(packet.bytes, at: GuestAddress(0x40000))
      try queues[1].add([.readable(0x40000, UInt32(packet.bytes.count))])
      kicks[1].signal()
      #expect(try waitUntil { try queues[1].takeUsed() != nil })
    }
    func next() throws -> VsockPacket {
      try queues[0].add([.writable(0x50000, 4096)])
      kicks[0].signal()
      var written: UInt32 = 0
      #expect(
        try waitUntil {
          written = try queues[0].takeUsed()?.written ?? 0
          return written > 0
        }
      )
      return try #require(
        VsockPacket(try memory.read(at: GuestAddress(0x50000), count: Int(written)))
      )
    }
    try activate()
    var request = VsockPacket(VsockPacket.request, from: 5000, to: 80)
    request.bufferSize = 65536
    try send(request)
    #expect(try next().operation == VsockPacket.response)
    guard let program = listener.accept() else {
      Issue.record("nobody has connected")
      return
    }

    vsock.suspend()
    try FileIO.writeAll(program.rawValue, Array("meanwhile".utf8))
    try activate()

    #expect(try next().data == Array("meanwhile".utf8))
    var data = VsockPacket(VsockPacket.readWrite, from: 5000, to: 80)
    data.data = [1, 2, 3]
    try send(data)
    var heard: [UInt8] = []
    #expect(
      try waitUntil {
        heard += try FileIO.read(program.rawValue, atMost: 8) ?? []
        return heard.count == 3
      }
    )
    vsock.reset()
    #expect(try waitUntil { try FileIO.read(program.rawValue, atMost: 8) == [] })
  }

  @Test func aTransportThatIsResetIsToldOf() throws {
    let rig = try VsockRig()
    let program = try rig.connect()
    try rig.event.add([.writable(0x180000, 8)])
    try rig.driver.kick(2, rig.event)
    rig.vsock.resetTransport()
    #expect(try rig.driver.waitForUsed(rig.event).written == 4)
    #expect(try rig.rig.memory.load32(at: GuestAddress(0x180000)) == 0)
    #expect(try rig.read(program.rawValue, 1) == [])
    try rig.write([1])
    #expect(try rig.next().operation == VsockPacket.reset)
  }
}
