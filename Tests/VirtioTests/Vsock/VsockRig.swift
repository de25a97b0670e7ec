import Glibc
import GuestMemory
import HostOS
import TestSupport
import Testing
import Virtio

/// A socket device with a driver on one side, and unix sockets in the test's hands on the other.
final class VsockRig {
  private static let receiveArea: UInt64 = 0x200000
  private static let sendArea: UInt64 = 0x100000
  private static let bufferSize: UInt64 = 4096

  let folder: TemporaryFolder
  let path: String
  let vsock: Vsock
  let rig: DeviceRig
  let receive: MockQueue
  let transmit: MockQueue
  let event: MockQueue
  private var places: [UInt32: UInt64] = [:]
  private var nextPlace = 0
  private var nextSend = 0

  var driver: MockDriver { rig.driver }

  init(_ ring: RingKind = .packed, buffers: Int = 64) throws {
    folder = try TemporaryFolder()
    path = folder.path(of: "vsock")
    vsock = try Vsock(VsockSockets(path: path), guestCID: 3)
    rig = try DeviceRig(vsock, memoryCount: 8 << 20)
    try rig.driver.negotiate(without: ring.isPacked ? [] : .packedRing)
    receive = try rig.driver.makeQueue(0)
    transmit = try rig.driver.makeQueue(1)
    event = try rig.driver.makeQueue(2)
    rig.driver.start()
    try addBuffers(buffers)
  }

  /// Gives the device so many more buffers.
  func addBuffers(_ count: Int) throws {
    for _ in 0..<count {
      let place = Self.receiveArea + Self.bufferSize * UInt64(nextPlace % 256)
      nextPlace += 1
      places[UInt32(try receive.add([.writable(place, UInt32(Self.bufferSize))]))] = place
    }
    if count > 0 { try driver.kick(0, receive) }
  }

  /// Sends a packet, and waits until it was taken.
  func send(_ packet: VsockPacket) throws {
    try offer(packet)
    _ = try driver.waitForUsed(transmit)
  }

  /// Sends a packet, without a wait.
  func offer(_ packet: VsockPacket) throws {
    let place = Self.sendArea + 0x1000 * UInt64(nextSend % 128)
    nextSend += 1
    let bytes = packet.bytes
    try rig.memory.write(bytes, at: GuestAddress(place))
    try transmit.add([
      .readable(place, 44), .readable(place + 44, UInt32(bytes.count - 44)),
    ])
    try driver.kick(1, transmit)
  }

  /// Waits for the next packet to the guest; its buffer is given back, unless told otherwise.
  func next(refill: Bool = true) throws -> VsockPacket {
    let used = try driver.waitForUsed(receive)
    let taken = places.removeValue(forKey: used.head)
    let place = try #require(taken)
    let bytes = try rig.memory.read(at: GuestAddress(place), count: Int(used.written))
    if refill { try addBuffers(1) }
    return try #require(VsockPacket(bytes))
  }

  /// Whether there is no packet for the guest, once the device has done all that it was told.
  func isQuiet() throws -> Bool {
    // A packet of nobody's, and what comes after it on the same thread, in one turn of it at least.
    for _ in 0..<2 {
      var packet = VsockPacket(VsockPacket.reset, from: 1, to: 1)
      packet.source = 9
      try send(packet)
    }
    guard let used = try receive.takeUsed() else { return true }
    Issue.record("an unexpected packet of \(used.written) bytes")
    return false
  }

  /// Listens where the guest's connections to `port` go.
  func listen(_ port: UInt32) throws -> UnixListener {
    try UnixListener(path: folder.path(of: "vsock_\(port)"))
  }

  /// Waits for the guest's connection.
  func accept(_ listener: borrowing UnixListener) throws -> OwnedFileDescriptor {
    var client = listener.accept()
    let number = listener.rawValue
    if client == nil {
      var item = pollfd(fd: number, events: Int16(POLLIN), revents: 0)
      _ = poll(&item, 1, 10_000)
      client = listener.accept()
    }
    guard let client = client.take() else { throw MockDriver.Failure.timeout }
    return client
  }

  /// Connects the guest's port 5000 to port 80 of the host.
  func connect(bufferSize: UInt32 = 1 << 16) throws -> OwnedFileDescriptor {
    let listener = try listen(80)
    var packet = VsockPacket(VsockPacket.request, from: 5000, to: 80)
    packet.bufferSize = bufferSize
    try send(packet)
    let program = try accept(listener)
    #expect(try next().operation == VsockPacket.response)
    return program
  }

  /// Sends data from port 5000 to port 80.
  func write(_ data: [UInt8], forwarded: UInt32 = 0) throws {
    var packet = VsockPacket(VsockPacket.readWrite, from: 5000, to: 80)
    packet.data = data
    packet.forwarded = forwarded
    try send(packet)
  }

  /// Reads until so many bytes have come, or the end.
  func read(_ number: Int32, _ count: Int) throws -> [UInt8] {
    var bytes: [UInt8] = []
    try driver.wait {
      do {
        guard let more = try FileIO.read(number, atMost: count - bytes.count) else { return false }
        bytes += more
        return more.isEmpty || bytes.count == count
      } catch let error as SystemError where error.code == ECONNRESET {
        // The other end closed without having read everything.
        return true
      }
    }
    return bytes
  }
}
