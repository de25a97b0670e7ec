import GuestMemory
import TestSupport
import Testing
import Virtio

/// Frames between a driver and the network (virtio 1.2, 5.1.6).
@Suite(.timeLimit(.minutes(5))) struct NetTests {
  private static let header = [UInt8](repeating: 0, count: 12)

  @Test(arguments: RingKind.allCases)
  func whatTheGuestSendsReachesTheNetworkWithItsHeader(ring: RingKind) throws {
    let rig = try NetRig(ring)
    let frame = NetRig.frame(to: .broadcast, count: 1514)
    let header: [UInt8] = [1, 1, 54, 0, 0xB4, 5, 34, 0, 16, 0, 0, 0]

    try rig.send(frame, header: header)

    #expect(try rig.sent() == header + frame)
    #expect(rig.net.counters.values.sentBytes == 1514)
  }

  @Test(arguments: RingKind.allCases)
  func whatComesFromTheNetworkReachesTheGuest(ring: RingKind) throws {
    let rig = try NetRig(ring)
    let frame = NetRig.frame(count: 100)
    let header: [UInt8] = [1, 0, 0, 0, 0, 0, 34, 0, 16, 0, 9, 9]
    try rig.addBuffers([1526, 1526])

    rig.network.send(frame, header: header)

    #expect(try rig.received() == 112)
    let bytes = try rig.memory.read(at: GuestAddress(NetRig.receiveArea), count: 112)
    #expect(bytes == header[0..<10] + [1, 0] + frame)
    #expect(rig.net.counters.values.received == 1)
  }

  @Test(arguments: RingKind.allCases)
  func aLargeFrameIsSpreadOverBuffers(ring: RingKind) throws {
    let rig = try NetRig(ring)
    let frame = NetRig.frame(count: 50_000)
    try rig.addBuffers(Array(repeating: 4096, count: 16))

    rig.network.send(frame)

    for _ in 0..<12 { #expect(try rig.received() == 4096) }
    #expect(try rig.received() == 50_012 - 12 * 4096)
    let bytes = try rig.memory.read(at: GuestAddress(NetRig.receiveArea), count: 50_012)
    #expect(bytes == Self.header[0..<10] + [13, 0] + frame)
  }

  @Test func aFrameWaitsForTheBuffersThatItNeeds() throws {
    let rig = try NetRig()
    let frame = NetRig.frame(count: 5000)
    try rig.addBuffers([1000, 14])
    rig.network.send(frame)
    rig.network.send(NetRig.frame(count: 60, seed: 5))
    // It has been everywhere once a command is answered.
    #expect(try rig.command(0, 0, [1]) == 0)
    #expect(try rig.receive[0].usedIndex() == 0)

    var place = NetRig.receiveArea + 1014
    for count in [2000, 2000, 100] as [UInt32] {
      try rig.receive[0].add([.writable(place, count)])
      try rig.driver.kick(0, rig.receive[0])
      place += UInt64(count)
    }

    for count in [1000, 14, 2000, 1998] as [UInt32] { #expect(try rig.received() == count) }
    #expect(try rig.received() == 72)
    let bytes = try rig.memory.read(at: GuestAddress(NetRig.receiveArea), count: 5012)
    #expect(bytes == Self.header[0..<10] + [4, 0] + frame)
  }

  @Test func aFrameThatAllBuffersTogetherCannotHoldIsDropped() throws {
    let rig = try NetRig(size: 4)
    try rig.addBuffers([100, 100, 100, 100])
    rig.network.send(NetRig.frame(count: 5000))
    rig.network.send(NetRig.frame(count: 60))

    #expect(try rig.received() == 72)
    #expect(rig.net.counters.values.receiveDropped == 1)
  }

  @Test func withoutMergingAFrameThatIsTooLargeIsDroppedAndTheNextOneComes() throws {
    let rig = try NetRig(without: .netMergeableBuffers)
    try rig.addBuffers([100, 1526])
    rig.network.send(NetRig.frame(count: 200))
    rig.network.send(NetRig.frame(count: 60))
    rig.network.send(NetRig.frame(count: 300))

    #expect(try rig.received() == 72)
    #expect(try rig.received() == 312)
    #expect(rig.net.counters.values.receiveDropped == 1)
    let bytes = try rig.memory.read(at: GuestAddress(NetRig.receiveArea), count: 12)
    #expect(bytes == Self.header[0..<10] + [1, 0])
  }

  @Test func framesWaitWhileTheDriverHasNoBuffers() throws {
    let rig = try NetRig()
    for seed in 0..<5 { rig.network.send(NetRig.frame(count: 60, seed: seed)) }
    try rig.addBuffers(Array(repeating: 128, count: 5))

    for seed in 0..<5 {
      #expect(try rig.received() == 72)
      let place = NetRig.receiveArea + 128 * UInt64(seed) + 12
      let bytes = try rig.memory.read(at: GuestAddress(place), count: 60)
      #expect(bytes == NetRig.frame(count: 60, seed: seed))
    }
  }

  @Test func theDriverWaitsForANetworkThatIsFull() throws {
    let rig = try NetRig()
    let frames = (0..<40).map { NetRig.frame(to: .broadcast, count: 30_000, seed: $0) }
    for (index, frame) in frames.enumerated() {
      let place = NetRig.sendArea + 0x8000 * UInt64(index)
      try rig.memory.write(Self.header + frame, at: GuestAddress(place))
      try rig.transmit[0].add([.readable(place, 30_012)])
    }
    try rig.driver.kick(1, rig.transmit[0])

    for frame in frames { #expect(try Array(rig.sent()[12...]) == frame) }
    for _ in frames { _ = try rig.driver.waitForUsed(rig.transmit[0]) }
    #expect(rig.net.counters.values.sendDropped == 0)
  }

  @Test func aFrameOfManyPiecesGoesOutWhole() throws {
    let rig = try NetRig()
    let bytes = Self.header + NetRig.frame(to: .broadcast, count: 48)
    try rig.memory.write(bytes, at: GuestAddress(NetRig.sendArea))
    let pieces = (0..<60).map { MockBuffer.readable(NetRig.sendArea + UInt64($0), 1) }

    try rig.driver.request(1, rig.transmit[0], pieces)

    #expect(try rig.sent() == bytes)
  }

  @Test(
    arguments: [
      [0], [11], [12], [25], [0, 0], [12 + 65_554], [1 << 20], [12, 13], [12, 0x10_0000],
    ] as [[UInt32]]
  )
  func whatIsNoFrameIsDroppedAndCounted(counts: [UInt32]) throws {
    let rig = try NetRig()
    let buffers = counts.map { MockBuffer.readable(NetRig.sendArea, $0) }

    #expect(try rig.driver.request(1, rig.transmit[0], buffers) == 0)
    try rig.send(NetRig.frame(to: .broadcast))

    #expect(try rig.sent().count == 72)
    #expect(rig.network.take() == nil)
    #expect(rig.net.counters.values.malformed == 1)
    #expect(rig.rig.transport.status & 64 == 0)
  }

  @Test func aFrameOfTheLargestPacketPasses() throws {
    let rig = try NetRig()
    try rig.addBuffers(Array(repeating: 8192, count: 9))
    let frame = NetRig.frame(count: 65_535 + 18)
    rig.network.send(frame)

    for _ in 0..<8 { #expect(try rig.received() == 8192) }
    #expect(try rig.received() == UInt32(frame.count + 12 - 8 * 8192))
    #expect(rig.net.counters.values.receivedBytes == UInt64(frame.count))
  }

  @Test func buffersWithoutRoomForAHeaderComeBackEmpty() throws {
    let rig = try NetRig()
    try rig.receive[0].add([.readable(NetRig.receiveArea, 2000)])
    try rig.receive[0].add([.writable(NetRig.receiveArea, 0)])
    try rig.receive[0].add([.writable(NetRig.receiveArea, 11)])
    try rig.receive[0].add([.writable(NetRig.receiveArea, 12), .writable(0x310000, 200)])
    try rig.driver.kick(0, rig.receive[0])
    rig.network.send(NetRig.frame())

    for _ in 0..<3 { #expect(try rig.received() == 0) }
    #expect(try rig.received() == 72)
    #expect(rig.net.counters.values.uselessBuffers == 3)
  }

  @Test func aFlickerOfUselessBuffersLeavesOtherQueuesTheirTurn() throws {
    let rig = try NetRig()
    for _ in 0..<60 { try rig.receive[0].add([.writable(NetRig.receiveArea, 1)]) }
    try rig.driver.kick(0, rig.receive[0])

    try rig.send(NetRig.frame(to: .broadcast))

    #expect(try rig.sent().count == 72)
    for _ in 0..<60 { #expect(try rig.received() == 0) }
  }

  @Test(arguments: RingKind.allCases)
  func buffersAndFramesOutliveTheResetOfTheirQueue(ring: RingKind) throws {
    let rig = try NetRig(ring)
    try rig.addBuffers([1526, 1526, 1526])
    // Some have been taken ahead by the time that a frame has come and gone.
    rig.network.send(NetRig.frame(seed: 1))
    #expect(try rig.received() == 72)
    #expect(rig.rig.transport.resetQueue(0))
    #expect(try rig.receive[0].usedIndex() == 1)
    rig.network.send(NetRig.frame(count: 90))

    let queue = try rig.driver.makeQueue(0, size: 16)
    try queue.add([.writable(0x310000, 200)])
    try rig.driver.kick(0, queue)

    #expect(try rig.driver.waitForUsed(queue).written == 102)
    #expect(rig.rig.log.lines == [])
  }

  @Test func aDeviceThatIsResetBeginsAnew() throws {
    let rig = try NetRig()
    try rig.addBuffers([1526, 1526, 1526])
    #expect(try rig.command(1, 1, [2, 0, 0, 0, 0, 9]) == 0)
    #expect(rig.rig.transport.readConfiguration(offset: 5, width: 1) == 9)

    rig.rig.transport.status = 0
    #expect(try rig.receive[0].usedIndex() == 0)
    #expect(rig.rig.transport.readConfiguration(offset: 5, width: 1) == 0x56)
    rig.network.send(NetRig.frame())
    try rig.driver.negotiate()
    let queue = try rig.driver.makeQueue(0)
    rig.driver.start()
    try queue.add([.writable(0x310000, 200)])
    try rig.driver.kick(0, queue)

    #expect(try rig.driver.waitForUsed(queue).written == 72)
  }

  @Test func aFrameOfOurOwnGoesOutWhileNobodyUsesTheInterface() throws {
    let network = try FakeNetwork(pairs: 2)
    let net = try Net(network, address: NetRig.address)
    #expect(net.pairCount == 2)
    let frame = NetRig.frame(to: .broadcast)
    #expect(try net.send(frame))
    #expect(network.take() == Self.header + frame)
    try net.setActivePairs(2)
    #expect(network.activePairs == [2])
    // What no page can hold is no frame of ours.
    #expect(try !net.send([UInt8](repeating: 0, count: 5000)))
  }
}
