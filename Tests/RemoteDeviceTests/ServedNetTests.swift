import Glibc
import GuestMemory
import HostOS
import RemoteDevice
import Testing
import TestSupport
import Virtio

/// A network device behind a front end.
@Suite final class ServedNetTests {
  typealias FrontEnd = VhostUserFrontEnd

  /// A served device, and the other end of its network.
  private let rig: VhostUserRig
  private let network: OwnedFileDescriptor

  init() throws {
    let pair = try SocketPair()
    let backend = try StreamBackend(adopting: pair.far.duplicated(), label: "test")
    let net = try Net(backend, address: MACAddress(0x02_0000_0000_01), name: "net")
    rig = try VhostUserRig(ServedNet(net))
    network = try pair.near.duplicated()
  }

  private func read(count: Int) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var batch = DescriptorBatch()
    var done = 0
    _ = try waitUntil {
      guard
        case .bytes(let size) = try SocketIO.receive(
          network.rawValue,
          into: &bytes,
          from: done,
          count: count - done,
          &batch
        )
      else { return false }
      done += size
      return done == count
    }
    return Array(bytes.prefix(done))
  }

  @Test func framesGoBothWaysWhateverAddressTheyHave() throws {
    let front = rig.frontEnd
    let features = try front.negotiate()
    #expect(try front.ask(17) == 1)
    try front.shareMemory()
    let receive = try front.makeQueue(at: GuestAddress(0x10000), features: features)
    let transmit = try front.makeQueue(at: GuestAddress(0x20000), features: features)
    try front.startRing(0, receive)
    try front.startRing(1, transmit)
    let frame = [UInt8](0..<64)

    try rig.memory.write([UInt8](repeating: 0, count: 12) + frame, at: GuestAddress(0x30000))
    try transmit.add([.readable(0x30000, 76)])
    try front.kick(1, transmit)
    #expect(try read(count: 68) == [0, 0, 0, 64] + frame)

    try receive.add([.writable(0x40000, 2048)])
    try front.kick(0, receive)
    _ = try SocketIO.send(network.rawValue, ([0, 0, 0, 64] + frame)[...])
    #expect(try waitUntil { try receive.takeUsed()?.written == 76 })
    #expect(try rig.memory.read(at: GuestAddress(0x4000C), count: 64) == frame)
  }

  @Test(arguments: [VirtioFeatures(), .inOrder, .packedRing, [.inOrder, .packedRing]])
  func aRingThatStopsBehindAUselessBufferForgetsNone(without: VirtioFeatures) throws {
    let front = rig.frontEnd
    let features = try front.negotiate(without: without)
    try front.shareMemory()
    let receive = try front.makeQueue(at: GuestAddress(0x10000), features: features)
    // Too small for any packet, so that the next is taken, too; that one has no room for a header. All are there when the
    // ring is looked at first: with the first alone the device would wait for a frame.
    let first = try receive.add([.writable(0x40000, 1000)])
    let useless = try receive.add([.writable(0x41000, 8)])
    let last = try receive.add([.writable(0x42000, 100)])
    try front.startRing(0, receive)
    try front.kick(0, receive)
    #expect(rig.waitForLine("a receive buffer of 8 bytes"))

    let base = try front.stopRing(0)

    var used: [UInt16: UInt32] = [:]
    while let (head, written) = try receive.takeUsed() { used[UInt16(head)] = written }
    #expect(used == [first: 0, useless: 0])
    try front.startRing(0, receive, base: base)
    let frame = [UInt8](0..<64)
    _ = try SocketIO.send(network.rawValue, ([0, 0, 0, 64] + frame)[...])
    var next: (head: UInt32, written: UInt32)?
    #expect(
      try waitUntil {
        next = try receive.takeUsed()
        return next != nil
      }
    )
    #expect(next?.head == UInt32(last) && next?.written == 76)
    #expect(try rig.memory.read(at: GuestAddress(0x4200C), count: 64) == frame)
  }

  @Test func aGuestThatHasMovedIsAnnouncedWhileItsRingsGoOn() throws {
    let front = rig.frontEnd
    let features = try front.negotiate()
    try front.shareMemory()
    let transmit = try front.makeQueue(at: GuestAddress(0x20000), features: features)
    try front.startRing(1, transmit)

    try front.tell(19, FrontEnd.words(UInt64(0x5634_1200_5452)))

    let bytes = try read(count: 64)
    #expect(bytes.prefix(10) == [0, 0, 0, 60, 255, 255, 255, 255, 255, 255])
    #expect(bytes[10..<18] == [0x52, 0x54, 0, 0x12, 0x34, 0x56, 0x80, 0x35])
    try rig.memory.zero(GuestAddress(0x30000), count: 76)
    try transmit.add([.readable(0x30000, 76)])
    try front.kick(1, transmit)
    #expect(try read(count: 68).count == 68)
    #expect(rig.log.notices == [])
  }
}
