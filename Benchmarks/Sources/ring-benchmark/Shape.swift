import CRingPeer
import GuestMemory
import HostOS
import Virtio

/// A kind of ring and chain.
struct Shape {
  let isPacked: Bool
  let isIndirect: Bool
  let length: Int

  static var all: [Shape] {
    [false, true].flatMap { isPacked in
      [false, true].flatMap { isIndirect in
        [1, 4, 16].map { Shape(isPacked: isPacked, isIndirect: isIndirect, length: $0) }
      }
    }
  }

  var name: String {
    (isPacked ? "packed" : "split") + (isIndirect ? " indirect " : " direct ") + "\(length)"
  }
}

/// A queue in guest memory with its driver, new for each run.
@safe
final class Field {
  static var size: UInt16 { 256 }
  private static var byteCount: UInt64 { 16 << 20 }

  let memory: GuestMemory
  let layout: ring_layout
  let driver: UnsafeMutablePointer<ring_driver>

  init(_ shape: Shape) throws {
    memory = try GuestMemory(count: Self.byteCount)
    let size = UInt64(Self.size)
    let available = 0x1000 + 16 * size
    let base = memory.unsafeHostAddress(of: memory.regions[0])
    unsafe layout = ring_layout(
      memory: UnsafeMutablePointer(bitPattern: base),
      memory_size: Self.byteCount,
      size: Self.size,
      packed: shape.isPacked ? 1 : 0,
      descriptors: 0x1000,
      available: available,
      used: available + 0x1000
    )
    unsafe driver = .allocate(capacity: 1)
    unsafe driver.initialize(to: ring_driver())
    var layout = unsafe layout
    unsafe ring_driver_init(
      driver,
      &layout,
      0x10_0000,
      0x80_0000,
      UInt32(shape.length),
      shape.isIndirect ? 1 : 0
    )
  }

  deinit { unsafe driver.deallocate() }

  func makeQueue(_ shape: Shape) throws -> Virtqueue {
    var features: VirtioFeatures = [.version1, .indirectDescriptors]
    // The driver of a split ring moves its event index along; that of a packed one wants to hear of all.
    if !shape.isPacked { features.insert(.eventIndex) }
    if shape.isPacked { features.insert(.packedRing) }
    let configuration = unsafe VirtqueueConfiguration(
      index: 0,
      size: Self.size,
      descriptorTable: GuestAddress(layout.descriptors),
      availableRing: GuestAddress(layout.available),
      usedRing: GuestAddress(layout.used),
      features: features,
      kick: try EventFD()
    )
    return try Virtqueue(configuration, in: memory)
  }
}
