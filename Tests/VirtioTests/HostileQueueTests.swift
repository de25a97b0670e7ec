import GuestMemory
import TestSupport
import Testing
import Virtio

/// One thing that a driver must not do, and what it is called.
struct HostileCase: Sendable, CustomTestStringConvertible {
  let testDescription: String
  let expected: VirtqueueError
  let ring: RingKind
  let prepare: @Sendable (MockQueue) throws -> Void

  init(
    _ name: String,
    _ expected: VirtqueueError,
    ring: RingKind = .split,
    _ prepare: @escaping @Sendable (MockQueue) throws -> Void
  ) {
    testDescription = "\(ring), \(name)"
    self.expected = expected
    self.ring = ring
    self.prepare = prepare
  }

  static let table = GuestAddress(0x8000)

  /// A chain of one indirect descriptor, for a table of `count` bytes with `inside` as its entries.
  static func indirect(
    _ name: String,
    _ expected: VirtqueueError,
    ring: RingKind = .split,
    count: UInt32,
    flags: UInt16 = MockDescriptor.indirect,
    _ inside: [MockDescriptor] = []
  ) -> Self {
    Self(name, expected, ring: ring) { queue in
      for (index, descriptor) in inside.enumerated() {
        try descriptor.store(
          UInt16(index),
          of: table,
          in: queue.memory,
          isPacked: queue.isPacked
        )
      }
      try queue.store(MockDescriptor(table.rawValue, count, flags), at: 0)
      try queue.offer(0)
    }
  }

  /// A chain of the queue's first descriptors, beginning with 0.
  static func direct(
    _ name: String,
    _ expected: VirtqueueError,
    ring: RingKind = .split,
    _ descriptors: [MockDescriptor]
  ) -> Self {
    Self(name, expected, ring: ring) { queue in
      for (index, descriptor) in descriptors.enumerated() {
        try queue.store(descriptor, at: UInt16(index))
      }
      try queue.offer(0)
    }
  }

  // For a queue of 8 entries in a QueueRig.
  static let all = split + packed

  static let split: [Self] = [
    Self("index jump", .indexJump(from: 0, to: 9, size: 8)) { try $0.setAvailableIndex(9) },
    Self("index back", .indexJump(from: 0, to: 65535, size: 8)) { try $0.setAvailableIndex(65535) },
    Self("head", .noSuchDescriptor(index: 8, count: 8)) { try $0.offer(8) },
    direct(
      "next",
      .noSuchDescriptor(index: 0xFFFF, count: 8),
      [
        MockDescriptor(0x9000, 16, MockDescriptor.next, next: 0xFFFF)
      ]
    ),
    direct(
      "loop on itself",
      .chainTooLong(head: 0, limit: 8),
      [
        MockDescriptor(0x9000, 16, MockDescriptor.next, next: 0)
      ]
    ),
    direct(
      "loop of two",
      .chainTooLong(head: 0, limit: 8),
      [
        MockDescriptor(0x9000, 16, MockDescriptor.next, next: 1),
        MockDescriptor(0x9000, 16, MockDescriptor.next, next: 0),
      ]
    ),
    direct(
      "more than 4 GiB",
      .bufferOutsideMemory(head: 0, GuestAddress(0x9000), count: .max),
      [MockDescriptor(0x9000, .max, MockDescriptor.next, next: 1), MockDescriptor(0x9000, .max)]
    ),
    direct(
      "hole",
      .bufferOutsideMemory(head: 0, GuestAddress(QueueRig.hole - 8), count: 16),
      [MockDescriptor(QueueRig.hole - 8, 16)]
    ),
    direct(
      "end of the address space",
      .bufferOutsideMemory(head: 0, GuestAddress(.max - 7), count: 16),
      [MockDescriptor(.max - 7, 16)]
    ),
    direct(
      "readable after writable",
      .readableAfterWritable(head: 0, index: 1),
      [
        MockDescriptor(0x9000, 16, MockDescriptor.next | MockDescriptor.write, next: 1),
        MockDescriptor(0x9000, 16),
      ]
    ),
    indirect("empty table", .badIndirectLength(head: 0, count: 0), count: 0),
    indirect("odd table", .badIndirectLength(head: 0, count: 40), count: 40),
    indirect("long table", .badIndirectLength(head: 0, count: 0x100010), count: 0x100010),
    Self(
      "table in a hole",
      .indirectOutsideMemory(head: 0, GuestAddress(QueueRig.hole - 16), count: 32)
    ) { queue in
      try queue.store(MockDescriptor(QueueRig.hole - 16, 32, MockDescriptor.indirect), at: 0)
      try queue.offer(0)
    },
    indirect(
      "table with a successor",
      .indirectWithNext(head: 0),
      count: 16,
      flags: MockDescriptor.indirect | MockDescriptor.next
    ),
    indirect(
      "table in a table",
      .nestedIndirect(head: 0, index: 0),
      count: 16,
      [
        MockDescriptor(0x9000, 16, MockDescriptor.indirect)
      ]
    ),
    indirect(
      "next beyond the table",
      .noSuchDescriptor(index: 2, count: 2),
      count: 32,
      [
        MockDescriptor(0x9000, 16, MockDescriptor.next, next: 2), MockDescriptor(0x9000, 16),
      ]
    ),
    indirect(
      "loop in a table",
      .chainTooLong(head: 0, limit: 8),
      count: 16,
      [
        MockDescriptor(0x9000, 16, MockDescriptor.next, next: 0)
      ]
    ),
    indirect(
      "table longer than the queue",
      .chainTooLong(head: 0, limit: 8),
      count: 144,
      (1...9).map { MockDescriptor(0x9000, 16, $0 < 9 ? MockDescriptor.next : 0, next: $0) }
    ),
    indirect(
      "readable after writable in a table",
      .readableAfterWritable(head: 0, index: 1),
      count: 32,
      [
        MockDescriptor(0x9000, 16, MockDescriptor.next | MockDescriptor.write, next: 1),
        MockDescriptor(0x9000, 16),
      ]
    ),
    indirect(
      "buffer of a table in a hole",
      .bufferOutsideMemory(head: 0, GuestAddress(QueueRig.hole), count: 1),
      count: 16,
      [MockDescriptor(QueueRig.hole, 1)]
    ),
  ]
}

@Suite struct HostileQueueTests {
  @Test(arguments: HostileCase.all)
  func whatADriverMustNotDoIsAnError(hostile: HostileCase) throws {
    let rig = try QueueRig(hostile.ring)
    try hostile.prepare(rig.driver)
    var queue = try rig.makeQueue()
    var chain = rig.makeChain()
    let error = #expect(throws: VirtqueueError.self) { _ = try queue.pop(into: &chain) }
    #expect(error == hostile.expected)
    // And again: the queue stays where it is.
    #expect(throws: hostile.expected) { _ = try queue.pop(into: &chain) }
  }

  @Test(arguments: RingKind.allCases)
  func anIndirectTableNeedsTheFeature(ring: RingKind) throws {
    let rig = try QueueRig(ring, features: .version1)
    try rig.driver.add([.readable(0x9000, 4)], table: GuestAddress(0x8000))
    var queue = try rig.makeQueue()
    var chain = rig.makeChain()
    #expect(throws: VirtqueueError.indirectNotNegotiated(head: 0)) {
      _ = try queue.pop(into: &chain)
    }
  }

  @Test(arguments: RingKind.allCases)
  func aChainOfMoreThanFourGiBIsAnError(ring: RingKind) throws {
    let memory = try GuestMemory(count: 2 << 30)
    let driver = try MockQueue(
      in: memory,
      at: GuestAddress(0x1000),
      size: 8,
      isPacked: ring.isPacked
    )
    var queue = try Virtqueue(try QueueRig(ring).configuration, in: memory)
    var chain = DescriptorChain(in: memory)
    try driver.add([
      .readable(0x10000, 1 << 30), .readable(0x10000, 1 << 30), .writable(0x10000, 1 << 30),
      .writable(0x10000, 1 << 30), .writable(0x10000, 1),
    ])
    #expect(throws: VirtqueueError.tooManyBytes(head: 0, count: 1 << 32 + 1)) {
      _ = try queue.pop(into: &chain)
    }
  }

  @Test(arguments: [0, 3, 6, 32769, 65535] as [UInt16])
  func aSizeThatIsNoPowerOfTwoIsAnError(size: UInt16) throws {
    let rig = try QueueRig()
    var configuration = rig.configuration
    configuration.size = size
    #expect(throws: VirtqueueError.badSize(size)) { try configuration.check(in: rig.memory) }
  }

  @Test(arguments: [0, 32769, 65535] as [UInt16])
  func aPackedSizeOutOfRangeIsAnError(size: UInt16) throws {
    let rig = try QueueRig(.packed)
    var configuration = rig.configuration
    configuration.size = size
    #expect(throws: VirtqueueError.badPackedSize(size)) { try configuration.check(in: rig.memory) }
  }

  @Test func aMisalignedPackedPartIsAnError() throws {
    let rig = try QueueRig(.packed)
    var configuration = rig.configuration
    configuration.availableRing = GuestAddress(0x3002)
    #expect(throws: VirtqueueError.unaligned(.available, GuestAddress(0x3002), alignment: 4)) {
      try configuration.check(in: rig.memory)
    }
    configuration = rig.configuration
    configuration.usedRing = GuestAddress(QueueRig.hole)
    #expect(throws: VirtqueueError.outsideMemory(.used, GuestAddress(QueueRig.hole), count: 4)) {
      try configuration.check(in: rig.memory)
    }
  }

  // (ring, available, used)
  @Test(
    arguments: [
      (.split, 9, 0), (.split, 0, 1), (.packed, 0x8008, 0x8000), (.packed, 0x8000, 8),
      (.packed, 0x8001, 0x8002), (.packed, 3, 0x8002), (.packed, 0xFFFF, 0xFFFF),
    ] as [(RingKind, UInt16, UInt16)]
  )
  func aStateThatNoQueueCanBeInIsAnError(ring: RingKind, available: UInt16, used: UInt16) throws {
    let rig = try QueueRig(ring)
    var configuration = rig.configuration
    configuration.state = VirtqueueState(available: available, used: used)
    #expect(throws: VirtqueueError.badState(available: available, used: used, size: 8)) {
      try configuration.check(in: rig.memory)
    }
  }

  @Test func moreChainsThanEntriesAreAnErrorWhileNoneIsUsed() throws {
    let rig = try QueueRig()
    var queue = try rig.makeQueue()
    var chain = rig.makeChain()
    try rig.driver.store(MockDescriptor(0x9000, 16), at: 0)
    for _ in 0..<8 {
      try rig.driver.offer(0)
      #expect(try queue.pop(into: &chain))
    }
    try rig.driver.offer(0)
    #expect(throws: VirtqueueError.tooManyChains(size: 8)) { _ = try queue.pop(into: &chain) }
  }

  @Test func descriptorsOfAChainThatIsOutAreNotTakenAgain() throws {
    let rig = try QueueRig(.packed)
    var queue = try rig.makeQueue()
    var chain = rig.makeChain()
    try rig.driver.add([MockBuffer](repeating: .writable(0x9000, 4), count: 6))
    #expect(try queue.pop(into: &chain))
    // The next two, and then the first of the chain that is out.
    try rig.driver.store(MockDescriptor(0x9000, 16, MockDescriptor.next), at: 6)
    try rig.driver.store(MockDescriptor(0x9000, 16, MockDescriptor.next), at: 7)
    try rig.driver.offer(6)
    #expect(throws: VirtqueueError.descriptorsInUse(head: 6, count: 6, size: 8)) {
      _ = try queue.pop(into: &chain)
    }
  }

  @Test func aMisalignedPartIsAnError() throws {
    let rig = try QueueRig()
    var configuration = rig.configuration
    configuration.descriptorTable = GuestAddress(0x1008)
    #expect(
      throws: VirtqueueError.unaligned(.descriptors, GuestAddress(0x1008), alignment: 16)
    ) { try configuration.check(in: rig.memory) }
    configuration = rig.configuration
    configuration.availableRing = GuestAddress(0x3001)
    #expect(throws: VirtqueueError.unaligned(.available, GuestAddress(0x3001), alignment: 2)) {
      try configuration.check(in: rig.memory)
    }
    configuration = rig.configuration
    configuration.usedRing = GuestAddress(0x3002)
    #expect(throws: VirtqueueError.unaligned(.used, GuestAddress(0x3002), alignment: 4)) {
      try configuration.check(in: rig.memory)
    }
  }

  @Test(arguments: [QueueRig.hole - 68, QueueRig.hole, UInt64.max - 15])
  func aRingOutsideMemoryIsAnError(address: UInt64) throws {
    let rig = try QueueRig()
    var configuration = rig.configuration
    configuration.usedRing = GuestAddress(address & ~3)
    #expect(
      throws: VirtqueueError.outsideMemory(.used, GuestAddress(address & ~3), count: 70)
    ) { try configuration.check(in: rig.memory) }
  }

  @Test(arguments: RingKind.allCases)
  func aRingMayCrossFromOneRegionIntoTheNext(ring: RingKind) throws {
    let rig = try QueueRig(ring)
    let driver = try MockQueue(
      in: rig.memory,
      at: GuestAddress(QueueRig.boundary - 64),
      size: 8,
      isPacked: ring.isPacked
    )
    var configuration = rig.configuration
    configuration.descriptorTable = driver.descriptorTable
    configuration.availableRing = driver.availableRing
    configuration.usedRing = driver.usedRing
    var queue = try Virtqueue(configuration, in: rig.memory)
    var chain = rig.makeChain()
    try driver.add([MockBuffer](repeating: .writable(0x8000, 2), count: 8))
    #expect(try queue.pop(into: &chain))
    #expect(chain.writableCount == 16)
  }
}
