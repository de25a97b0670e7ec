import Glibc
import GuestMemory
import HostOS
import TestSupport
import Testing
import Virtio

/// Networks that are sockets of other programs.
@Suite(.timeLimit(.minutes(5))) struct NetStreamTests {
  /// A network interface with a backend that is made of `descriptor`.
  private struct Rig {
    let net: Net
    let rig: DeviceRig
    let receive: MockQueue
    let transmit: MockQueue

    init(_ backend: any NetBackend) throws {
      net = try Net(backend, address: NetRig.address)
      rig = try DeviceRig(net)
      try rig.driver.negotiate()
      receive = try rig.driver.makeQueue(0)
      transmit = try rig.driver.makeQueue(1)
      rig.driver.start()
    }

    func addBuffers(_ count: Int, of size: UInt32 = 2048) throws {
      for index in 0..<count {
        try receive.add([.writable(0x300000 + UInt64(index) * UInt64(size), size)])
      }
      try rig.driver.kick(0, receive)
    }

    func offer(_ frame: [UInt8], at place: UInt64 = 0x200000) throws {
      try rig.memory.write([UInt8](repeating: 7, count: 12) + frame, at: GuestAddress(place))
      try transmit.add([.readable(place, UInt32(12 + frame.count))])
      try rig.driver.kick(1, transmit)
    }

    /// The status of the link as the driver reads it.
    var status: UInt64 { rig.transport.readConfiguration(offset: 6, width: 2) }
  }

  private static func framed(_ frame: [UInt8]) -> [UInt8] {
    [0, 0, UInt8(frame.count >> 8), UInt8(frame.count & 0xFF)] + frame
  }

  /// Reads until so many bytes have come.
  private static func read(_ number: Int32, _ count: Int, _ driver: MockDriver) throws -> [UInt8] {
    var bytes: [UInt8] = []
    try driver.wait {
      if let more = try FileIO.read(number, atMost: count - bytes.count) { bytes += more }
      return bytes.count == count
    }
    return bytes
  }

  @Test func framesOfAStreamHaveTheirLengthBeforeThem() throws {
    let pair = try SocketPair()
    let near = try pair.near.duplicated()
    try FileIO.setNonBlocking(near.rawValue)
    let rig = try Rig(StreamBackend(adopting: pair.far.duplicated(), label: "stream"))
    let frames = [NetRig.frame(to: .broadcast), NetRig.frame(to: .broadcast, count: 1514)]

    try rig.offer(frames[0])
    try rig.offer(frames[1], at: 0x210000)
    let expected = frames.flatMap(Self.framed)
    #expect(try Self.read(near.rawValue, expected.count, rig.rig.driver) == expected)

    try rig.addBuffers(2)
    try FileIO.writeAll(near.rawValue, expected)
    #expect(try rig.rig.driver.waitForUsed(rig.receive).written == 72)
    #expect(try rig.rig.driver.waitForUsed(rig.receive).written == 1526)
    let bytes = try rig.rig.memory.read(at: GuestAddress(0x300800), count: 1526)
    #expect(bytes == [UInt8](repeating: 0, count: 10) + [1, 0] + frames[1])
  }

  @Test func aStreamMayComeInAnyPieces() throws {
    let pair = try SocketPair()
    let near = try pair.near.duplicated()
    let rig = try Rig(StreamBackend(adopting: pair.far.duplicated(), label: "stream"))
    try rig.addBuffers(20)
    var stream: [UInt8] = []
    for seed in 0..<10 {
      stream += Self.framed(NetRig.frame(count: 60 + seed, seed: seed)) + [0, 0, 0, 0]
    }
    let pieces = [1, 2, 3, 5, 64, 1, 200]
    var (place, index) = (0, 0)
    while place < stream.count {
      let end = min(stream.count, place + pieces[index % pieces.count])
      try FileIO.writeAll(near.rawValue, Array(stream[place..<end]))
      usleep(200)
      place = end
      index += 1
    }
    for seed in 0..<10 {
      #expect(try rig.rig.driver.waitForUsed(rig.receive).written == UInt32(72 + seed))
    }
  }

  @Test func aStreamThatIsFullHoldsTheDriverUpAndLosesNothing() throws {
    let pair = try SocketPair()
    let near = try pair.near.duplicated()
    try FileIO.setNonBlocking(near.rawValue)
    let rig = try Rig(StreamBackend(adopting: pair.far.duplicated(), label: "stream"))
    let frames = (0..<30).map { NetRig.frame(to: .broadcast, count: 40_001, seed: $0) }
    for (index, frame) in frames.enumerated() {
      try rig.offer(frame, at: 0x100000 + 0xA000 * UInt64(index))
    }
    for frame in frames {
      let bytes = try Self.read(near.rawValue, 4 + frame.count, rig.rig.driver)
      #expect(bytes == Self.framed(frame))
    }
    for _ in frames { _ = try rig.rig.driver.waitForUsed(rig.transmit) }
  }

  @Test func theRestOfTheLastFrameGoesOutWithNoneAfterIt() throws {
    let frame = NetRig.frame(to: .broadcast, count: 40_001)
    // How many frames go out while nobody reads, the last of them in part.
    func fill(_ rig: Rig, atMost count: Int) throws -> Int {
      for index in 0..<count {
        try rig.offer(frame, at: 0x100000 + 0xA000 * UInt64(index))
        let isSent = waitUntil(seconds: 1) { (try? rig.transmit.usedIndex()) == UInt16(index + 1) }
        guard isSent else { return index }
      }
      return count
    }
    let first = try SocketPair()
    let limit = try fill(
      Rig(StreamBackend(adopting: first.far.duplicated(), label: "stream")),
      atMost: 30
    )
    #expect(limit < 30)
    let pair = try SocketPair()
    let near = try pair.near.duplicated()
    try FileIO.setNonBlocking(near.rawValue)
    let rig = try Rig(StreamBackend(adopting: pair.far.duplicated(), label: "stream"))

    #expect(try fill(rig, atMost: limit) == limit)

    for _ in 0..<limit {
      let bytes = try Self.read(near.rawValue, 4 + frame.count, rig.rig.driver)
      #expect(bytes == Self.framed(frame))
    }
  }

  @Test func aFrameThatIsHalfwayOutWhenTheDeviceIsResetIsSentWhole() throws {
    let pair = try SocketPair()
    let near = try pair.near.duplicated()
    try FileIO.setNonBlocking(near.rawValue)
    let backend = try StreamBackend(adopting: pair.far.duplicated(), label: "stream")
    let rig = try Rig(backend)
    let frames = (0..<20).map { NetRig.frame(to: .broadcast, count: 40_001, seed: $0) }
    for (index, frame) in frames.enumerated() {
      try rig.offer(frame, at: 0x100000 + 0xA000 * UInt64(index))
    }
    // As much as there is room for has gone out when the used index stands still.
    var (index, since) = (try rig.transmit.usedIndex(), ContinuousClock.now)
    try rig.rig.driver.wait {
      let new = try rig.transmit.usedIndex()
      if new != index { (index, since) = (new, .now) }
      return index > 0 && since.duration(to: .now) > .milliseconds(50)
    }
    rig.rig.transport.status = 0
    let done = Int(try rig.transmit.usedIndex())
    #expect(done < frames.count)
    let again = try Rig(backend)
    let last = NetRig.frame(to: .broadcast, count: 77)
    try again.offer(last)

    for frame in frames[0..<done] + [last] {
      let bytes = try Self.read(near.rawValue, 4 + frame.count, again.rig.driver)
      #expect(bytes == Self.framed(frame))
    }
  }

  @Test func whoConnectsAgainFindsTheGuestThere() throws {
    let folder = try TemporaryFolder()
    let path = folder.path(of: "network")
    let backend = try StreamBackend(listeningAt: path)
    let rig = try Rig(backend)
    #expect(rig.status == 0)
    try rig.addBuffers(4)
    // While nobody is there, frames go nowhere.
    try rig.offer(NetRig.frame(to: .broadcast))
    _ = try rig.rig.driver.waitForUsed(rig.transmit)

    for round in 0..<2 {
      let peer = try UnixSocket.connect(to: path)
      try FileIO.writeAll(peer.rawValue, Self.framed(NetRig.frame(count: 60 + round)))
      #expect(try rig.rig.driver.waitForUsed(rig.receive).written == UInt32(72 + round))
      #expect(rig.status & 1 == 1)
      // The driver is told to make itself known to whoever is new.
      #expect(rig.status & 2 == 2)
      try rig.offer(NetRig.frame(to: .broadcast, count: 90 + round))
      let bytes = try Self.read(peer.rawValue, 94 + round, rig.rig.driver)
      #expect(bytes == Self.framed(NetRig.frame(to: .broadcast, count: 90 + round)))
      _ = consume peer
      try rig.rig.driver.wait { rig.status & 1 == 0 }
    }
    try rig.rig.driver.wait { rig.rig.log.lines.count == 2 }
  }

  @Test func aPeerThatGoesIsLookedForAgain() throws {
    let folder = try TemporaryFolder()
    let path = folder.path(of: "network")
    var listener: UnixListener? = try UnixListener(path: path)
    let rig = try Rig(StreamBackend(connectingTo: path))
    try rig.addBuffers(4)
    #expect(rig.status == 1)
    listener = nil
    try rig.rig.driver.wait { rig.status & 1 == 0 }

    listener = try UnixListener(path: path)

    try rig.rig.driver.wait { rig.status & 1 == 1 }
    let peer = listener.borrow { $0.accept() } ?? nil
    let number = try #require(peer.borrow { $0.rawValue })
    try FileIO.writeAll(number, Self.framed(NetRig.frame()))
    #expect(try rig.rig.driver.waitForUsed(rig.receive).written == 72)
  }

  @Test func aLengthThatNoFrameHasEndsTheConnection() throws {
    let folder = try TemporaryFolder()
    let path = folder.path(of: "network")
    let rig = try Rig(StreamBackend(listeningAt: path))
    try rig.addBuffers(4)
    let peer = try UnixSocket.connect(to: path)
    try FileIO.writeAll(peer.rawValue, [0, 1, 0, 18] + [1, 2, 3])
    var left: [UInt8]? = [1]
    try rig.rig.driver.wait {
      left = try FileIO.read(peer.rawValue, atMost: 10)
      return left != nil
    }
    #expect(left == [])
    try rig.rig.driver.wait { rig.rig.log.lines.contains { $0.contains("65554") } }

    let next = try UnixSocket.connect(to: path)
    try FileIO.writeAll(next.rawValue, Self.framed(NetRig.frame()))
    #expect(try rig.rig.driver.waitForUsed(rig.receive).written == 72)
  }

  @Test func aGivenStreamThatClosesTakesTheLinkDown() throws {
    let pair = try SocketPair()
    let backend = try StreamBackend(adopting: pair.far.duplicated(), label: "stream")
    let rig = try Rig(backend)
    try rig.addBuffers(1)
    _ = consume pair
    try rig.rig.driver.wait { rig.status == 0 }
    try rig.offer(NetRig.frame())
    _ = try rig.rig.driver.waitForUsed(rig.transmit)
  }

  @Test(arguments: [false, true])
  func framesAreDatagrams(isSequence: Bool) throws {
    let pair = try MessagePair(isSequence ? SOCK_SEQPACKET : SOCK_DGRAM)
    let backend = try DatagramBackend(
      adopting: pair.far.duplicated(),
      label: "datagrams",
      isSequence: isSequence
    )
    let rig = try Rig(backend)
    try rig.offer(NetRig.frame(to: .broadcast, count: 90))
    #expect(
      try Self.read(pair.near.rawValue, 90, rig.rig.driver)
        == NetRig.frame(to: .broadcast, count: 90)
    )
    try rig.addBuffers(30, of: 100)
    let frame = NetRig.frame(count: 1000)
    #expect(write(pair.near.rawValue, frame, frame.count) == 1000)
    for _ in 0..<10 { #expect(try rig.rig.driver.waitForUsed(rig.receive).written == 100) }
    #expect(try rig.rig.driver.waitForUsed(rig.receive).written == 12)
    let bytes = try rig.rig.memory.read(at: GuestAddress(0x300000), count: 1012)
    #expect(bytes == [UInt8](repeating: 0, count: 10) + [11, 0] + frame)
  }
}
