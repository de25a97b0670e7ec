import GuestMemory
import HostOS
import TestSupport
import Testing
import Virtio

/// Devices whose queues another's loop serves, on its thread.
@Suite struct ServiceTests {
  private static let data: UInt64 = 0x30000

  /// Has a device serve one chain of its first queue.
  ///
  /// - Returns: How many bytes it wrote.
  private static func serve(
    _ rig: QueueRig,
    _ chain: [MockBuffer],
    features: VirtioFeatures = [],
    _ makeService: (VirtioActivation) throws -> any QueueService
  ) throws -> UInt32? {
    let service = try makeService(
      VirtioActivation(
        features: rig.configuration.features.union(features),
        memory: rig.memory,
        queues: [rig.configuration],
        signals: VirtioSignals(
          "device",
          interrupts: RecordingInterrupts(),
          logger: RecordedLog().makeLogger()
        )
      )
    )
    var queue = try rig.makeQueue()
    try rig.driver.add(chain)
    _ = try service.serve(&queue)
    service.finish(&queue)
    queue.publish()
    #expect(queue.state.available == queue.state.used)
    return try rig.driver.takeUsed()?.written
  }

  @Test(arguments: RingKind.allCases)
  func randomBytesAreServed(ring: RingKind) throws {
    let rig = try QueueRig(ring)
    let written = try Self.serve(rig, [.writable(Self.data, 64)]) { try Entropy().makeService($0) }
    #expect(written == 64)
    #expect(Set(try rig.memory.read(at: GuestAddress(Self.data), count: 64)).count > 10)
  }

  @Test(arguments: RingKind.allCases)
  func aBalloonTakesPages(ring: RingKind) throws {
    let rig = try QueueRig(ring)
    try rig.memory.write([1, 2, 3], at: GuestAddress(Self.data))
    try rig.memory.store32(UInt32(Self.data >> 12), at: GuestAddress(0x8000))
    let balloon = try Balloon()
    let written = try Self.serve(rig, [.readable(0x8000, 4)]) { balloon.makeService($0) }
    #expect(written == 0)
    #expect(try rig.memory.read(at: GuestAddress(Self.data), count: 3) == [0, 0, 0])
    #expect(balloon.discardedBytes == 4096)
  }

  @Test(arguments: RingKind.allCases)
  func aConsoleHasWhatIsTyped(ring: RingKind) throws {
    let rig = try QueueRig(ring)
    let pair = try SocketPair()
    let console = try Console(ConsolePort(input: try pair.far.duplicated(), output: nil))
    try FileIO.writeAll(pair.near.rawValue, Array("typed".utf8))
    let written = try Self.serve(rig, [.writable(Self.data, 64)]) { console.makeService($0) }
    #expect(written == 5)
    #expect(try rig.memory.read(at: GuestAddress(Self.data), count: 5) == Array("typed".utf8))
  }

  @Test(arguments: RingKind.allCases)
  func anInterfaceHasWhatCame(ring: RingKind) throws {
    let rig = try QueueRig(ring)
    let network = try FakeNetwork()
    let net = try Net(network, address: NetRig.address)
    network.send(NetRig.frame(count: 60))
    let written = try Self.serve(
      rig,
      [.writable(Self.data, 2000)],
      features: .netMergeableBuffers
    ) { try net.makeService($0, pair: 0) }
    #expect(written == 72)
    #expect(try rig.memory.read(at: GuestAddress(Self.data + 12), count: 60) == NetRig.frame())
    net.reset()
  }

  @Test(arguments: RingKind.allCases)
  func aSocketDeviceHasAProgramsWish(ring: RingKind) throws {
    let rig = try QueueRig(ring)
    let folder = try TemporaryFolder()
    let path = folder.path(of: "v")
    let vsock = try Vsock(VsockSockets(path: path), guestCID: 3)
    let program = try UnixSocket.connect(to: path)
    try FileIO.writeAll(program.rawValue, Array("CONNECT 5\n".utf8))
    let written = try Self.serve(rig, [.writable(Self.data, 64)]) { try vsock.makeService($0) }
    #expect(written == 44)
    // The guest's port.
    #expect(try rig.memory.load32(at: GuestAddress(Self.data + 20)) == 5)
  }

  @Test(arguments: RingKind.allCases)
  func aNullDiskReadsAsZeroes(ring: RingKind) throws {
    let rig = try QueueRig(ring)
    let disk = NullDisk(count: 8 * 512)
    // A read of sector 7.
    try rig.memory.zero(GuestAddress(0x8000), count: 16)
    try rig.memory.store64(7, at: GuestAddress(0x8008))
    try rig.memory.write([UInt8](repeating: 9, count: 513), at: GuestAddress(Self.data))
    let written = try Self.serve(
      rig,
      [.readable(0x8000, 16), .writable(Self.data, 512), .writable(Self.data + 512, 1)]
    ) { Block(DiskSource(disk), name: "null").makeService($0) }
    #expect(written == 513)
    let bytes = try rig.memory.read(at: GuestAddress(Self.data), count: 513)
    #expect(bytes == [UInt8](repeating: 0, count: 513))
  }

  @Test func whatIsOnlyDescribedHasNobodyToConnectTo() throws {
    let rig = try QueueRig()
    let vsock = try Vsock(VsockSockets(), guestCID: 3)
    #expect(try Self.serve(rig, [.writable(Self.data, 64)]) { try vsock.makeService($0) } == nil)
  }
}
