import GuestMemory
import TestSupport
import Testing
import Virtio

/// What a driver reads of the interface and tells it (virtio 1.2, 5.1.4 and 5.1.6.5).
@Suite(.timeLimit(.minutes(5))) struct NetControlTests {
  private static let other = MACAddress(0x0200_0000_0001)
  private static let group = MACAddress(0x0100_5E00_0001)

  /// Sends frames, and returns those that the guest receives, by number.
  private func received(_ rig: NetRig, _ frames: [[UInt8]], last: [UInt8]) throws -> [Int] {
    for frame in frames + [last] { rig.network.send(frame) }
    var numbers: [Int] = []
    while true {
      try rig.addBuffers([256])
      let count = try Int(rig.received()) - 12
      let place = GuestAddress(NetRig.receiveArea + 12)
      let bytes = try rig.memory.read(at: place, count: count)
      if bytes == last { return numbers }
      numbers.append(try #require(frames.firstIndex(of: bytes)))
    }
  }

  @Test func theConfigurationHasTheAddressTheLinkTheQueuesAndTheMTU() throws {
    let rig = try NetRig(pairs: 4, mtu: 9000)
    let transport = rig.rig.transport
    #expect(
      (0..<6).map { transport.readConfiguration(offset: $0, width: 1) } == [
        0x52, 0x54, 0, 0x12, 0x34, 0x56,
      ]
    )
    #expect(transport.readConfiguration(offset: 6, width: 2) == 1)
    #expect(transport.readConfiguration(offset: 8, width: 2) == 4)
    #expect(transport.readConfiguration(offset: 10, width: 2) == 9000)
  }

  @Test func everythingComesUntilTheDriverChooses() throws {
    let rig = try NetRig()
    let frames = [
      NetRig.frame(to: Self.other), NetRig.frame(to: Self.group), NetRig.frame(to: .broadcast),
    ]
    #expect(try received(rig, frames, last: NetRig.frame()) == [0, 1, 2])
  }

  @Test func onlyItsOwnAddressAndTheTablesCome() throws {
    let rig = try NetRig()
    #expect(try rig.command(0, 0, [0]) == 0)
    let frames = [
      NetRig.frame(to: Self.other), NetRig.frame(to: MACAddress(0x0200_0000_0002)),
      NetRig.frame(to: Self.group), NetRig.frame(to: MACAddress(0x0100_5E00_0002)),
      NetRig.frame(to: .broadcast),
    ]
    #expect(try received(rig, frames, last: NetRig.frame()) == [4])

    let table = [1, 0, 0, 0] + Self.other.bytes + [1, 0, 0, 0] + Self.group.bytes
    #expect(try rig.command(1, 0, table) == 0)

    #expect(try received(rig, frames, last: NetRig.frame()) == [0, 2, 4])
    #expect(rig.net.counters.values.filtered == 6)
  }

  @Test(
    arguments: [
      (1, [2, 4]), (2, [0, 1, 4]), (3, [4]), (4, [4]), (5, []),
    ] as [(UInt8, [Int])]
  )
  func eachKindOfReceiverIsSwitchedByItself(command: UInt8, expected: [Int]) throws {
    let rig = try NetRig()
    #expect(try rig.command(0, 0, [0]) == 0)
    #expect(try rig.command(0, command, [1]) == 0)
    let frames = [
      NetRig.frame(to: Self.other), NetRig.frame(to: MACAddress(0x0200_0000_0002)),
      NetRig.frame(to: Self.group), NetRig.frame(to: NetRig.address, count: 61),
      NetRig.frame(to: .broadcast),
    ]
    // With no unicast at all, the last one has to be of another kind.
    let last = command == 4 ? NetRig.frame(to: .broadcast, count: 99) : NetRig.frame()
    let taken = try received(rig, frames, last: last)
    #expect(taken == (command == 4 ? expected : (expected + [3]).sorted()))
  }

  @Test func withMoreAddressesThanAreKeptAllOfTheKindCome() throws {
    let rig = try NetRig()
    #expect(try rig.command(0, 0, [0]) == 0)
    let many = (0..<100).flatMap { MACAddress(0x0200_0000_1000 + UInt64($0)).bytes }
    #expect(try rig.command(1, 0, [100, 0, 0, 0] + many + [0, 0, 0, 0]) == 0)
    let frames = [NetRig.frame(to: Self.other), NetRig.frame(to: Self.group)]
    #expect(try received(rig, frames, last: NetRig.frame()) == [0])
  }

  @Test func vlansComeThatTheDriverAdds() throws {
    let rig = try NetRig()
    #expect(try rig.command(0, 0, [0]) == 0)
    let frames = [NetRig.frame(vlan: 7), NetRig.frame(vlan: 4095), NetRig.frame(count: 61)]
    #expect(try received(rig, frames, last: NetRig.frame()) == [2])
    #expect(try rig.command(2, 0, [7, 0]) == 0)
    #expect(try received(rig, frames, last: NetRig.frame()) == [0, 2])
    #expect(try rig.command(2, 0, [0xFF, 0x0F]) == 0)
    #expect(try rig.command(2, 1, [7, 0]) == 0)
    #expect(try received(rig, frames, last: NetRig.frame()) == [1, 2])
  }

  @Test func withoutTheFeatureEveryVLANComes() throws {
    let rig = try NetRig(without: .netControlVLAN)
    #expect(try rig.command(0, 0, [0]) == 0)
    #expect(try rig.command(2, 0, [7, 0]) == 1)
    #expect(try received(rig, [NetRig.frame(vlan: 7)], last: NetRig.frame()) == [0])
  }

  @Test func theDriverMayHaveAnotherAddress() throws {
    let rig = try NetRig()
    #expect(try rig.command(0, 0, [0]) == 0)
    #expect(try rig.command(1, 1, Self.other.bytes) == 0)
    let frames = [NetRig.frame()]
    #expect(try received(rig, frames, last: NetRig.frame(to: Self.other)) == [])
    #expect(rig.rig.transport.readConfiguration(offset: 0, width: 1) == 2)
  }

  @Test(
    arguments: [
      [], [0], [0, 6, 1], [0, 0], [1, 0], [1, 0, 1, 0, 0, 0], [1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1],
      [1, 0, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3, 4, 5, 6], [1, 1, 1, 2, 3], [1, 2], [2, 0],
      [2, 0, 0, 16],
      [2, 2, 1, 0], [3, 0], [3, 1], [4, 0], [4, 0, 0, 0], [4, 0, 5, 0], [4, 1, 1, 0], [5, 0, 1],
      [5, 0, 0, 0, 0, 0, 0, 0, 0, 1], [5, 0, 0x80, 0, 0, 0, 0, 0, 0, 0], [6, 0], [255, 255],
    ] as [[UInt8]]
  )
  func whatIsNoCommandIsRefused(bytes: [UInt8]) throws {
    let rig = try NetRig(pairs: 2)
    let place: UInt64 = 0x1F0000
    try rig.memory.write(bytes + [0xEE], at: GuestAddress(place))
    let end = place + UInt64(bytes.count)

    try rig.driver.request(
      4,
      rig.control,
      [.readable(place, UInt32(bytes.count)), .writable(end, 1)]
    )

    #expect(try rig.memory.load8(at: GuestAddress(end)) == 1)
    #expect(try rig.command(0, 0, [1]) == 0)
  }

  @Test func aCommandWithoutRoomForAnAnswerBreaksTheDevice() throws {
    let rig = try NetRig()
    try rig.control.add([.readable(0x1F0000, 3)])
    try rig.driver.kick(2, rig.control)
    try rig.driver.wait { rig.rig.transport.status & 64 != 0 && rig.rig.log.lines.count == 1 }
  }

  @Test func framesComeToTheQueuesThatTheDriverUses() throws {
    let rig = try NetRig(pairs: 2)
    #expect(rig.network.activePairs == [1])
    try rig.addBuffers([256], pair: 1)
    rig.network.send(NetRig.frame(), pair: 1)
    #expect(try rig.command(0, 0, [1]) == 0)
    #expect(try rig.receive[1].usedIndex() == 0)

    #expect(try rig.command(4, 0, [2, 0]) == 0)

    #expect(try rig.received(pair: 1) == 72)
    try rig.send(NetRig.frame(to: .broadcast), pair: 1)
    #expect(try rig.sent(pair: 1).count == 72)
    #expect(rig.network.activePairs == [1, 2])
  }

  @Test func withoutSeveralQueuesTheControlQueueIsTheThird() throws {
    let rig = try NetRig(pairs: 3, without: .netMultiQueue)
    #expect(try rig.command(0, 0, [1]) == 0)
    #expect(try rig.command(4, 0, [1, 0]) == 1)
    try rig.addBuffers([256])
    rig.network.send(NetRig.frame())
    #expect(try rig.received() == 72)
  }

  @Test func theNetworkLearnsWhatTheDriverTakes() throws {
    let rig = try NetRig(without: [.netGuestTCP6, .netGuestUDP4, .netGuestUDP6, .netGuestUFO])
    let all: VirtioFeatures = [.netGuestChecksum, .netGuestTCP4, .netGuestECN]
    #expect(rig.network.offloads == [all])
    #expect(try rig.command(5, 0, [0x82, 0, 0, 0, 0, 0, 0, 0]) == 0)
    #expect(try rig.command(5, 0, [0, 0, 0, 0, 0, 0, 0, 0]) == 0)
    #expect(rig.network.offloads == [all, [.netGuestChecksum, .netGuestTCP4], []])
  }

  @Test(
    arguments: [
      .netGuestChecksum, .netChecksum, .netControlQueue, [.netGuestTCP4, .netGuestTCP6],
    ] as [VirtioFeatures]
  )
  func featuresWithoutWhatTheyNeedAreRefused(missing: VirtioFeatures) throws {
    #expect(throws: MockDriver.Failure.self) { try NetRig(without: missing) }
  }

  @Test func aNetworkWithoutOffloadsOffersNone() throws {
    let rig = try NetRig(network: FakeNetwork(features: []))
    let features = VirtioFeatures(rawValue: rig.rig.transport.deviceFeatures)
    #expect(features.isDisjoint(with: .everyOffload.union(.netControlOffloads)))
    #expect(!features.contains(.netMultiQueue) && !features.contains(.netMTU))
  }

  @Test func aLinkThatIsDownCarriesNothing() throws {
    let rig = try NetRig()
    rig.net.setLink(up: false)
    #expect(rig.rig.transport.readConfiguration(offset: 6, width: 2) == 0)
    #expect(rig.rig.interrupts.changes == 1)
    try rig.addBuffers([256])
    rig.network.send(NetRig.frame())
    try rig.send(NetRig.frame(to: .broadcast))
    try rig.driver.wait { rig.net.counters.values.receiveDropped == 1 }
    #expect(rig.net.counters.values.sendDropped == 1)

    rig.net.setLink(up: true)

    rig.network.send(NetRig.frame(count: 70))
    #expect(try rig.received() == 82)
    #expect(rig.network.take() == nil)
    #expect(rig.rig.interrupts.changes == 2)
  }

  @Test func theDriverIsAskedToAnnounceTheGuest() throws {
    let rig = try NetRig()
    rig.net.announce()
    #expect(rig.rig.transport.readConfiguration(offset: 6, width: 2) == 3)
    #expect(rig.rig.interrupts.changes == 1)
    #expect(try rig.command(3, 0) == 0)
    #expect(rig.rig.transport.readConfiguration(offset: 6, width: 2) == 1)
    #expect(try rig.command(3, 0) == 1)
  }

  @Test func framesAboveTheMTUAreDroppedUnlessTheyAreToBeCutUp() throws {
    let rig = try NetRig(mtu: 1000)
    try rig.addBuffers(Array(repeating: 2048, count: 40))
    rig.network.send(NetRig.frame(count: 1019))
    rig.network.send(NetRig.frame(count: 1018))
    let header: [UInt8] = [1, 1, 54, 0, 0xB4, 5, 34, 0, 16, 0, 0, 0]
    rig.network.send(NetRig.frame(count: 1500), header: header)

    #expect(try rig.received() == 1030)
    #expect(try rig.received() == 1512)
    #expect(rig.net.counters.values.receiveDropped == 1)
  }
}
