import GuestMemory
import TestSupport
import Virtio

/// A disk of 64 sectors behind a mock front end; sector n begins with n and then counts on.
final class VhostUserDiskRig {
  static let sectors = 64
  static let header: UInt64 = 0x200000
  static let status: UInt64 = 0x200100
  static let data: UInt64 = 0x210000

  let folder: TemporaryFolder
  let path: String
  let rig: VhostUserRig
  var queue: MockQueue?
  var features: VirtioFeatures = []

  init(readOnly: Bool = false, queueCount: Int = 1) throws {
    folder = try TemporaryFolder()
    path = try folder.file("disk", Self.content)
    let image = try DiskImage(opening: path, readOnly: readOnly)
    rig = try VhostUserRig(
      Block(image, name: "disk", options: Block.Options(queueCount: queueCount))
    )
  }

  static var content: [UInt8] {
    (0..<sectors).flatMap { sector in (0..<512).map { UInt8(truncatingIfNeeded: sector + $0) } }
  }

  var frontEnd: VhostUserFrontEnd { rig.frontEnd }

  /// Agrees on everything, shares memory, and starts the first ring.
  func start(
    without: VirtioFeatures = [],
    withoutProtocol: UInt64 = 0,
    oneByOne: Bool = false
  ) throws {
    features = try frontEnd.negotiate(without: without, withoutProtocol: withoutProtocol)
    try frontEnd.shareMemory(oneByOne: oneByOne)
    let queue = try makeQueue()
    try frontEnd.startRing(0, queue)
    self.queue = queue
  }

  func makeQueue(_ index: Int = 0) throws -> MockQueue {
    try frontEnd.makeQueue(
      at: GuestAddress(VhostUserRig.rings + UInt64(index) * 0x10000),
      features: features
    )
  }

  /// Makes a request and waits for it; returns its status.
  func request(
    _ type: UInt32,
    sector: UInt64 = 0,
    _ data: [MockBuffer] = [],
    on ring: Int = 0,
    _ other: MockQueue? = nil
  ) throws -> UInt8 {
    guard let queue = other ?? queue else { throw VhostUserFrontEnd.Failure.timeout }
    try offer(type, sector: sector, data, queue)
    try frontEnd.kick(ring, queue)
    guard try waitUntil({ try queue.takeUsed() != nil }) else {
      throw VhostUserFrontEnd.Failure.timeout
    }
    return try rig.memory.load8(at: GuestAddress(Self.status))
  }

  /// Makes a request available.
  func offer(
    _ type: UInt32,
    sector: UInt64,
    _ data: [MockBuffer],
    _ queue: MockQueue
  ) throws {
    let memory = rig.memory
    try memory.store32(type, at: GuestAddress(Self.header))
    try memory.store32(0, at: GuestAddress(Self.header + 4))
    try memory.store64(sector, at: GuestAddress(Self.header + 8))
    try memory.store8(0xFF, at: GuestAddress(Self.status))
    try queue.add([.readable(Self.header, 16)] + data + [.writable(Self.status, 1)])
  }

  /// Whether sector `sector` is read as it was written when the disk was made.
  func readsSector(_ sector: UInt64) throws -> Bool {
    let place = GuestAddress(Self.data)
    try rig.memory.zero(place, count: 512)
    guard try request(0, sector: sector, [.writable(Self.data, 512)]) == 0 else { return false }
    let start = Int(sector) * 512
    return try rig.memory.read(at: place, count: 512) == Array(Self.content[start..<start + 512])
  }
}
