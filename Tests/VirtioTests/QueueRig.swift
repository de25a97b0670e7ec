import GuestMemory
import HostOS
import TestSupport
import Virtio

/// The two kinds of ring that a queue can have.
enum RingKind: CaseIterable {
  case split
  case packed

  var isPacked: Bool { self == .packed }
}

/// A queue with both of its sides, in memory of two touching regions and one apart.
///
/// The first region ends, and the second begins, at 0x20000; after 0x40000 there is a hole up to 1
/// MiB.
final class QueueRig {
  static let boundary: UInt64 = 0x20000
  static let hole: UInt64 = 0x40000

  let memory: GuestMemory
  let driver: MockQueue
  let configuration: VirtqueueConfiguration

  init(
    _ kind: RingKind = .split,
    size: UInt16 = 8,
    features: VirtioFeatures = [.version1, .indirectDescriptors],
    startingAt start: UInt16? = nil
  ) throws {
    let index = start ?? (kind.isPacked ? 0x8000 : 0)
    let features = kind.isPacked ? features.union(.packedRing) : features
    memory = try GuestMemory([
      (GuestAddress(0), Self.boundary), (GuestAddress(Self.boundary), 0x20000),
      (GuestAddress(0x100000), 0x10000),
    ])
    driver = try MockQueue(
      in: memory,
      at: GuestAddress(0x1000),
      size: size,
      eventIndex: features.contains(.eventIndex),
      isPacked: kind.isPacked,
      startingAt: index
    )
    configuration = VirtqueueConfiguration(
      index: 0,
      size: size,
      descriptorTable: driver.descriptorTable,
      availableRing: driver.availableRing,
      usedRing: driver.usedRing,
      features: features,
      kick: try EventFD(),
      state: VirtqueueState(available: index, used: index)
    )
  }

  func makeQueue() throws -> Virtqueue { try Virtqueue(configuration, in: memory) }

  func makeChain() -> DescriptorChain { DescriptorChain(in: memory) }
}

extension DescriptorChain {
  /// Reads up to `count` bytes into an array.
  mutating func readBytes(_ count: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    let done = read(into: &bytes)
    return Array(bytes[0..<done])
  }
}
