import GuestMemory
import TestSupport
import Virtio

/// What a driver must not do with a packed ring (virtio 1.2, 2.8).
extension HostileCase {
  private static let next = MockDescriptor(0x9000, 16, MockDescriptor.next)
  private static let last = MockDescriptor(0x9000, 16)

  static let packed: [Self] = [
    direct(
      "chain around the ring",
      .chainTooLong(head: 0, limit: 8),
      ring: .packed,
      [MockDescriptor](repeating: next, count: 8)
    ),
    direct(
      "more than 4 GiB",
      .bufferOutsideMemory(head: 0, GuestAddress(0x9000), count: .max),
      ring: .packed,
      [MockDescriptor(0x9000, .max, MockDescriptor.next), last]
    ),
    direct(
      "hole",
      .bufferOutsideMemory(head: 0, GuestAddress(QueueRig.hole - 8), count: 16),
      ring: .packed,
      [MockDescriptor(QueueRig.hole - 8, 16)]
    ),
    direct(
      "end of the address space",
      .bufferOutsideMemory(head: 0, GuestAddress(.max - 7), count: 16),
      ring: .packed,
      [MockDescriptor(.max - 7, 16)]
    ),
    direct(
      "readable after writable",
      .readableAfterWritable(head: 0, index: 1),
      ring: .packed,
      [MockDescriptor(0x9000, 16, MockDescriptor.next | MockDescriptor.write), last]
    ),
    direct(
      "table after a descriptor",
      .indirectAfterDirect(head: 0, index: 1),
      ring: .packed,
      [next, MockDescriptor(0x8000, 16, MockDescriptor.indirect)]
    ),
    direct(
      "table with a successor",
      .indirectWithNext(head: 0),
      ring: .packed,
      [MockDescriptor(0x8000, 16, MockDescriptor.indirect | MockDescriptor.next), last]
    ),
    direct(
      "table in a hole",
      .indirectOutsideMemory(head: 0, GuestAddress(QueueRig.hole - 16), count: 32),
      ring: .packed,
      [MockDescriptor(QueueRig.hole - 16, 32, MockDescriptor.indirect)]
    ),
    indirect("empty table", .badIndirectLength(head: 0, count: 0), ring: .packed, count: 0),
    indirect("odd table", .badIndirectLength(head: 0, count: 40), ring: .packed, count: 40),
    indirect(
      "table longer than the queue",
      .chainTooLong(head: 0, limit: 8),
      ring: .packed,
      count: 144
    ),
    indirect(
      "longest table",
      .chainTooLong(head: 0, limit: 8),
      ring: .packed,
      count: 0xFFFF_FFF0
    ),
    indirect(
      "readable after writable in a table",
      .readableAfterWritable(head: 0, index: 1),
      ring: .packed,
      count: 32,
      [MockDescriptor(0x9000, 16, MockDescriptor.write), last]
    ),
    indirect(
      "buffer of a table in a hole",
      .bufferOutsideMemory(head: 0, GuestAddress(QueueRig.hole), count: 1),
      ring: .packed,
      count: 16,
      [MockDescriptor(QueueRig.hole, 1)]
    ),
  ]
}
