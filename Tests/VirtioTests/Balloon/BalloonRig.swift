import GuestMemory
import TestSupport
import Virtio

/// A balloon with a driver.
struct BalloonRig {
  static let feature = (
    statistics: VirtioFeatures(bit: 1), poison: VirtioFeatures(bit: 4),
    reporting: VirtioFeatures(bit: 5)
  )
  /// Where the driver's lists and numbers are; pages from `pool` on are what it gives.
  static let list: UInt64 = 0x80000
  static let pool: UInt64 = 0x200000

  let balloon: Balloon
  let rig: DeviceRig
  let inflate: MockQueue
  let deflate: MockQueue
  let statistics: MockQueue
  let reporting: MockQueue
  let reportingIndex: UInt16

  var driver: MockDriver { rig.driver }
  var memory: GuestMemory { rig.memory }

  /// A driver that numbers queues as the standard says, or leaves out those that there are not.
  init(
    _ ring: RingKind = .packed,
    target: UInt64 = 0,
    leavesOutNumbers: Bool = false,
    without: VirtioFeatures = []
  ) throws {
    balloon = try Balloon(target: target)
    rig = try DeviceRig(balloon, memoryCount: 16 << 20)
    try rig.driver.negotiate(without: ring.isPacked ? without : without.union(.packedRing))
    inflate = try rig.driver.makeQueue(0)
    deflate = try rig.driver.makeQueue(1)
    statistics = try rig.driver.makeQueue(2)
    reportingIndex = leavesOutNumbers ? 3 : 4
    reporting = try rig.driver.makeQueue(reportingIndex)
    rig.driver.start()
  }

  /// Fills pages of the pool with ones.
  func fill(_ pages: Range<UInt64>) throws {
    for page in pages {
      try memory.write(
        [UInt8](repeating: 1, count: 4096),
        at: GuestAddress(Self.pool + 4096 * page)
      )
    }
  }

  /// Which pages of the pool read as zeroes.
  func emptyPages(_ pages: Range<UInt64>) throws -> [UInt64] {
    try pages.filter { page in
      let bytes = try memory.read(at: GuestAddress(Self.pool + 4096 * page), count: 4096)
      return bytes.allSatisfy { $0 == 0 }
    }
  }

  /// Gives or takes back pages, by their numbers.
  func hand(_ pages: [UInt32], _ queue: MockQueue, _ index: UInt16) throws {
    let bytes = pages.flatMap { page in (0..<4).map { UInt8(truncatingIfNeeded: page >> (8 * $0)) }
    }
    try memory.write(bytes, at: GuestAddress(Self.list))
    try driver.request(index, queue, [.readable(Self.list, UInt32(bytes.count))])
  }

  /// Gives pages of the pool.
  func give(_ pages: [UInt32]) throws {
    try hand(pages.map { $0 + UInt32(Self.pool / 4096) }, inflate, 0)
  }
}
