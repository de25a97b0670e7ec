import GuestMemory
import HostOS
import TestSupport
import Testing
import Virtio

/// Guests that break the rules of sockets: each costs its own connection at most.
@Suite(.timeLimit(.minutes(5))) struct VsockHostileTests {
  /// Whether the connection from port 5000 to port 80 is over for both sides.
  private func expectCut(_ rig: VsockRig, _ program: borrowing OwnedFileDescriptor) throws {
    #expect(try rig.next().operation == VsockPacket.reset)
    #expect(try rig.read(program.rawValue, 1 << 20).isEmpty)
    #expect(rig.rig.transport.status & 64 == 0)
  }

  @Test func moreThanThereIsRoomForIsCut() throws {
    let rig = try VsockRig()
    let program = try rig.connect()
    let data = [UInt8](repeating: 0, count: 4000)
    // The program reads nothing: at most its socket and the device's buffer are filled.
    var last = VsockPacket(0, from: 0, to: 0)
    for _ in 0..<200 {
      try rig.write(data)
      if rig.rig.log.lines.contains(where: { $0.contains(" of 262144 full") }) { break }
    }
    try rig.driver.wait {
      last = try rig.next()
      return last.operation == VsockPacket.reset
    }
    #expect(rig.rig.log.lines.count == 1, "\(rig.rig.log.lines)")
    _ = program.rawValue
  }

  @Test func aGuestThatLiesAboutWhatItForwardedIsCut() throws {
    let rig = try VsockRig()
    let program = try rig.connect()
    try rig.write([], forwarded: 1)
    try expectCut(rig, program)
  }

  @Test func aBufferThatShrinksStopsTheStreamOnly() throws {
    let rig = try VsockRig()
    let program = try rig.connect(bufferSize: 100)
    try FileIO.writeAll(program.rawValue, [UInt8](repeating: 1, count: 300))
    #expect(try rig.next().data.count == 100)
    #expect(try rig.next().operation == VsockPacket.creditRequest)
    var update = VsockPacket(VsockPacket.creditUpdate, from: 5000, to: 80)
    update.bufferSize = 10
    try rig.send(update)
    #expect(try rig.isQuiet())
    update.bufferSize = .max
    try rig.send(update)
    #expect(try rig.next().data.count == 200)
  }

  @Test(
    arguments: [
      (VsockPacket.response, 0), (VsockPacket.request, 0), (VsockPacket.readWrite, 1),
    ] as [(UInt16, UInt32)]
  )
  func whatIsOutOfPlaceIsCut(operation: UInt16, missing: UInt32) throws {
    let rig = try VsockRig()
    let program = try rig.connect()
    var packet = VsockPacket(operation, from: 5000, to: 80)
    packet.data = [1, 2, 3]
    packet.count = 3 + missing
    try rig.send(packet)
    try expectCut(rig, program)
  }

  @Test func dataAfterTheEndIsCut() throws {
    let rig = try VsockRig()
    let program = try rig.connect()
    var end = VsockPacket(VsockPacket.shutdown, from: 5000, to: 80)
    end.flags = 2
    try rig.send(end)
    try rig.write([1])
    try expectCut(rig, program)
  }

  @Test(arguments: [0, 8, 99, 0xFFFF] as [UInt16])
  func anUnknownOperationIsAnsweredWithAReset(operation: UInt16) throws {
    let rig = try VsockRig()
    try rig.send(VsockPacket(operation, from: 5000, to: 80))
    #expect(try rig.next().operation == VsockPacket.reset)
  }

  @Test(arguments: [
    VsockPacket.response, VsockPacket.shutdown, VsockPacket.readWrite, VsockPacket.creditUpdate,
    VsockPacket.creditRequest,
  ])
  func packetsOfNoConnectionAreAnsweredWithAReset(operation: UInt16) throws {
    let rig = try VsockRig()
    try rig.send(VsockPacket(operation, from: 5000, to: 80))
    let answer = try rig.next()
    #expect(answer.operation == VsockPacket.reset)
    #expect((answer.sourcePort, answer.targetPort) == (80, 5000))
  }

  @Test func otherTypesAndContextsAreAnsweredAsThemselves() throws {
    let rig = try VsockRig()
    var packet = VsockPacket(VsockPacket.request, from: 5000, to: 80)
    packet.type = 2
    try rig.send(packet)
    let answer = try rig.next()
    #expect((answer.operation, answer.type) == (VsockPacket.reset, 2))
    packet.type = 1
    packet.target = 77
    try rig.send(packet)
    #expect(try rig.next().source == 77)
  }

  @Test func packetsOfOthersAndResetsOfNothingAreDropped() throws {
    let rig = try VsockRig()
    var packet = VsockPacket(VsockPacket.request, from: 5000, to: 80)
    packet.source = 4
    try rig.send(packet)
    try rig.send(VsockPacket(VsockPacket.reset, from: 5000, to: 80))
    #expect(try rig.isQuiet())
  }

  @Test(arguments: [0, 1, 43] as [UInt32])
  func packetsWithoutAHeaderAreDropped(count: UInt32) throws {
    let rig = try VsockRig()
    try rig.driver.request(1, rig.transmit, [.readable(0x100000, count)])
    #expect(try rig.isQuiet())
    let program = try rig.connect()
    _ = program.rawValue
  }

  @Test func buffersWithoutRoomForAHeaderComeBackEmpty() throws {
    let rig = try VsockRig(buffers: 0)
    for count in [0, 43] as [UInt32] { try rig.receive.add([.writable(0x200000, count)]) }
    // A header and no data.
    try rig.receive.add([.writable(0x200000, 44)])
    try rig.driver.kick(0, rig.receive)
    try rig.send(VsockPacket(VsockPacket.request, from: 5000, to: 80))
    for _ in 0..<2 { #expect(try rig.driver.waitForUsed(rig.receive).written == 0) }
    #expect(try rig.driver.waitForUsed(rig.receive).written == 44)
  }

  @Test func aFloodThatNeedsAnswersWaitsForBuffers() throws {
    let rig = try VsockRig(buffers: 0)
    for _ in 0..<3 {
      for _ in 0..<60 { try rig.offer(VsockPacket(VsockPacket.request, from: 5000, to: 80)) }
      for _ in 0..<60 { _ = try rig.driver.waitForUsed(rig.transmit) }
    }
    for _ in 0..<60 { try rig.offer(VsockPacket(VsockPacket.request, from: 5000, to: 80)) }
    for _ in 0..<60 { _ = try rig.driver.waitForUsed(rig.transmit) }
    for _ in 0..<60 { try rig.offer(VsockPacket(VsockPacket.request, from: 5000, to: 80)) }
    for _ in 0..<16 { _ = try rig.driver.waitForUsed(rig.transmit) }
    // 256 answers wait: no more is taken.
    #expect(try rig.transmit.takeUsed() == nil)
    try rig.addBuffers(64)
    for _ in 0..<300 { #expect(try rig.next().operation == VsockPacket.reset) }
    for _ in 0..<44 { _ = try rig.driver.waitForUsed(rig.transmit) }
  }

  @Test func thereIsALimitToConnections() throws {
    let rig = try VsockRig(buffers: 100)
    let listener = try UnixListener(path: rig.folder.path(of: "vsock_80"), backlog: 4096)
    var accepted = 0
    for port in 0..<1100 {
      try rig.send(VsockPacket(VsockPacket.request, from: UInt32(port), to: 80))
      if try rig.next().operation == VsockPacket.response { accepted += 1 }
    }
    #expect(accepted == 1023)
    // With one gone there is room for another.
    try rig.send(VsockPacket(VsockPacket.reset, from: 0, to: 80))
    try rig.send(VsockPacket(VsockPacket.request, from: 5000, to: 80))
    #expect(try rig.next().operation == VsockPacket.response)
    _ = listener.rawValue
  }
}
