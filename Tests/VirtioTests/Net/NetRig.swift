import GuestMemory
import TestSupport
import Virtio

/// A network interface with a driver on one side, and a network in the test's hands on the other.
struct NetRig {
  static let address = MACAddress(0x5254_0012_3456)
  /// Where the driver's buffers are.
  static let sendArea: UInt64 = 0x200000
  static let receiveArea: UInt64 = 0x300000

  private let fake: FakeNetwork?
  let net: Net
  let rig: DeviceRig
  let receive: [MockQueue]
  let transmit: [MockQueue]
  let control: MockQueue

  /// The network that the test has in its hands.
  var network: FakeNetwork {
    guard let fake else { preconditionFailure("another network was given") }
    return fake
  }
  var driver: MockDriver { rig.driver }
  var memory: GuestMemory { rig.memory }

  init(
    _ ring: RingKind = .packed,
    pairs: Int = 1,
    network: (any NetBackend)? = nil,
    mtu: UInt16? = nil,
    limits: NetLimits = NetLimits(),
    without: VirtioFeatures = [],
    size: UInt16 = 64
  ) throws {
    let network = try network ?? FakeNetwork(pairs: pairs)
    fake = network as? FakeNetwork
    net = try Net(network, address: Self.address, mtu: mtu, limits: limits)
    rig = try DeviceRig(net)
    try rig.driver.negotiate(without: ring.isPacked ? without : without.union(.packedRing))
    let hasPairs = rig.driver.features.contains(.netMultiQueue)
    var queues: [MockQueue] = []
    for index in 0..<(hasPairs ? 2 * pairs : 2) {
      queues.append(try rig.driver.makeQueue(UInt16(index), size: size))
    }
    control = try rig.driver.makeQueue(UInt16(queues.count), size: 16)
    receive = stride(from: 0, to: queues.count, by: 2).map { queues[$0] }
    transmit = stride(from: 1, to: queues.count, by: 2).map { queues[$0] }
    rig.driver.start()
  }

  /// A frame to `target`, of `count` bytes.
  static func frame(
    to target: MACAddress = address,
    count: Int = 60,
    vlan: UInt16? = nil,
    seed: Int = 0
  ) -> [UInt8] {
    var bytes = target.bytes + [2, 0, 0, 0, 0, 1]
    if let vlan { bytes += [0x81, 0, UInt8(vlan >> 8), UInt8(vlan & 0xFF)] }
    bytes += [0x88, 0xB5]
    return bytes + (bytes.count..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ seed) }
  }

  /// Gives the device buffers to receive into, one after the other in memory.
  func addBuffers(_ counts: [UInt32], pair: Int = 0) throws {
    var place = Self.receiveArea + 0x40000 * UInt64(pair)
    for count in counts {
      try receive[pair].add([.writable(place, count)])
      place += UInt64(count)
    }
    try driver.kick(UInt16(2 * pair), receive[pair])
  }

  /// Takes what was received into the next buffer: its number of bytes, from where the last ended.
  func received(pair: Int = 0) throws -> UInt32 {
    try driver.waitForUsed(receive[pair]).written
  }

  /// Sends a frame of the guest's, after `header`.
  func send(
    _ frame: [UInt8],
    header: [UInt8] = .init(repeating: 0, count: 12),
    pair: Int = 0
  ) throws {
    try memory.write(header + frame, at: GuestAddress(Self.sendArea))
    try driver.request(
      UInt16(2 * pair + 1),
      transmit[pair],
      [.readable(Self.sendArea, 12), .readable(Self.sendArea + 12, UInt32(frame.count))]
    )
  }

  /// Waits for a frame that the guest sent, with its header.
  func sent(pair: Int = 0) throws -> [UInt8] {
    var frame: [UInt8]?
    try driver.wait {
      frame = network.take(pair: pair)
      return frame != nil
    }
    return frame ?? []
  }

  /// Gives a command, and returns the answer: 0 or 1.
  func command(_ kind: UInt8, _ command: UInt8, _ bytes: [UInt8] = []) throws -> UInt8 {
    let place: UInt64 = 0x1F0000
    try memory.write([kind, command] + bytes + [0xEE], at: GuestAddress(place))
    let count = UInt32(2 + bytes.count)
    let index = UInt16(receive.count + transmit.count)
    try driver.request(
      index,
      control,
      [.readable(place, count), .writable(place + UInt64(count), 1)]
    )
    return try memory.load8(at: GuestAddress(place + UInt64(count)))
  }
}
