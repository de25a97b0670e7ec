import GuestMemory
import TestSupport
import Testing
import Virtio

@Suite struct VirtqueueTests {
  @Test(arguments: RingKind.allCases)
  func anEmptyQueueHasNoChain(ring: RingKind) throws {
    let rig = try QueueRig(ring)
    var queue = try rig.makeQueue()
    var chain = rig.makeChain()
    #expect(try queue.pop(into: &chain) == false)
  }

  @Test(arguments: RingKind.allCases)
  func aChainIsReadAcrossItsBuffers(ring: RingKind) throws {
    let rig = try QueueRig(ring)
    try rig.memory.write([1, 2, 3], at: GuestAddress(0x8000))
    try rig.memory.write([4, 5], at: GuestAddress(0x9001))
    try rig.driver.add([.readable(0x8000, 3), .readable(0x9001, 2), .writable(0xA000, 7)])
    var queue = try rig.makeQueue()
    var chain = rig.makeChain()
    #expect(try queue.pop(into: &chain))
    #expect(chain.readableCount == 5)
    #expect(chain.writableCount == 7)
    #expect(chain.readBytes(4) == [1, 2, 3, 4])
    #expect(chain.readableCount == 1)
    #expect(chain.readBytes(4) == [5])
  }

  @Test(arguments: RingKind.allCases)
  func aChainIsWrittenAcrossItsBuffers(ring: RingKind) throws {
    let rig = try QueueRig(ring)
    try rig.driver.add([.writable(0x8000, 2), .writable(0x9001, 0), .writable(0x9001, 3)])
    var queue = try rig.makeQueue()
    var chain = rig.makeChain()
    #expect(try queue.pop(into: &chain))
    chain.skipWritable(1)
    #expect(chain.write([7, 8, 9, 10, 11, 12] as [UInt8]) == 4)
    #expect(try rig.memory.read(at: GuestAddress(0x8000), count: 2) == [0, 7])
    #expect(try rig.memory.read(at: GuestAddress(0x9001), count: 4) == [8, 9, 10, 0])
  }

  @Test(arguments: RingKind.allCases)
  func theLastByteIsReachedOverEmptyBuffers(ring: RingKind) throws {
    let rig = try QueueRig(ring)
    try rig.driver.add([.writable(0x8000, 2), .writable(0, 0), .writable(0x9001, 1)])
    var queue = try rig.makeQueue()
    var chain = rig.makeChain()
    #expect(try queue.pop(into: &chain))
    chain.skipWritable(2)
    #expect(chain.write(0xAB as UInt8) == true)
    #expect(chain.write(0xCD as UInt8) == false)
    #expect(try rig.memory.load8(at: GuestAddress(0x9001)) == 0xAB)
  }

  @Test(arguments: RingKind.allCases)
  func wordsAreLittleEndianWhereverTheyAreCut(ring: RingKind) throws {
    let rig = try QueueRig(ring)
    try rig.memory.write([0x11, 0x22, 0x33, 0x44, 0x55, 0x66], at: GuestAddress(0x8001))
    try rig.driver.add([.readable(0x8001, 1), .readable(0x8002, 2), .readable(0x8004, 3)])
    var queue = try rig.makeQueue()
    var chain = rig.makeChain()
    #expect(try queue.pop(into: &chain))
    #expect(chain.readWord(UInt32.self) == 0x4433_2211)
    #expect(chain.readWord(UInt32.self) == nil)
    #expect(chain.readWord(UInt16.self) == 0x6655)
  }

  @Test(
    arguments: [0x8000, 0x8003, QueueRig.boundary - 24, QueueRig.boundary - 7],
    RingKind.allCases
  )
  func anIndirectTableMayLieAnywhere(table: UInt64, ring: RingKind) throws {
    let rig = try QueueRig(ring)
    try rig.memory.write(Array(1...6), at: GuestAddress(0xA000))
    try rig.driver.add(
      [.readable(0xA000, 2), .readable(0xA002, 4), .writable(0xB000, 16)],
      table: GuestAddress(table)
    )
    var queue = try rig.makeQueue()
    var chain = rig.makeChain()
    #expect(try queue.pop(into: &chain))
    #expect(chain.readBytes(100) == Array(1...6))
    #expect(chain.writableCount == 16)
  }

  @Test func anIndirectTableMayFollowOtherDescriptors() throws {
    let rig = try QueueRig()
    try rig.memory.write(Array(1...6), at: GuestAddress(0xA000))
    try rig.driver.add(
      [.readable(0xA000, 2), .readable(0xA002, 4), .writable(0xB000, 16)],
      table: GuestAddress(0x8000),
      direct: 1
    )
    var queue = try rig.makeQueue()
    var chain = rig.makeChain()
    #expect(try queue.pop(into: &chain))
    #expect(chain.readBytes(100) == Array(1...6))
    #expect(chain.writableCount == 16)
  }

  @Test(arguments: RingKind.allCases)
  func theWriteFlagOfAnIndirectTableIsIgnored(ring: RingKind) throws {
    let rig = try QueueRig(ring)
    try MockDescriptor(0xA000, 4).store(
      0,
      of: GuestAddress(0x8000),
      in: rig.memory,
      isPacked: ring.isPacked
    )
    try rig.driver.store(
      MockDescriptor(0x8000, 16, MockDescriptor.indirect | MockDescriptor.write),
      at: 0
    )
    try rig.driver.offer(0)
    var queue = try rig.makeQueue()
    var chain = rig.makeChain()
    #expect(try queue.pop(into: &chain))
    #expect(chain.readableCount == 4)
  }

  @Test(arguments: RingKind.allCases)
  func aBufferMayCrossFromOneRegionIntoTheNext(ring: RingKind) throws {
    let rig = try QueueRig(ring)
    let address = QueueRig.boundary - 3
    try rig.driver.add([.readable(address, 6), .writable(address, 6)])
    try rig.memory.write(Array(1...6), at: GuestAddress(address))
    var queue = try rig.makeQueue()
    var chain = rig.makeChain()
    #expect(try queue.pop(into: &chain))
    #expect(chain.readBytes(6) == Array(1...6))
    var vector = GuestIOVector(rig.memory)
    #expect(chain.appendWritable(to: &vector, count: 10) == 6)
    #expect(vector.count == 6)
  }

  @Test(arguments: RingKind.allCases)
  func usedChainsShowOnlyWhenPublished(ring: RingKind) throws {
    let rig = try QueueRig(ring)
    let heads = try (0..<3).map { try rig.driver.add([.writable(0x8000 + 64 * $0, 64)]) }
    var queue = try rig.makeQueue()
    var chain = rig.makeChain()
    for written in 1...3 {
      #expect(try queue.pop(into: &chain))
      queue.complete(chain, written: UInt32(written))
    }
    #expect(try rig.driver.usedIndex() == 0)
    queue.publish()
    #expect(try rig.driver.usedIndex() == 3)
    let used = try (0..<3).map { _ in try #require(try rig.driver.takeUsed()) }
    #expect(used.map(\.head) == heads.map(UInt32.init))
    #expect(used.map(\.written) == [1, 2, 3])
  }

  @Test(arguments: [1, 4, 64] as [UInt16])
  func indicesWrapManyTimes(size: UInt16) throws {
    let rig = try QueueRig(size: size, startingAt: 65000)
    var queue = try rig.makeQueue()
    var chain = rig.makeChain()
    var matches = 0
    for _ in 0..<2000 {
      let head = try rig.driver.add([.writable(0x8000, 64)])
      let popped = try queue.pop(into: &chain)
      queue.complete(chain, written: 1)
      queue.publish()
      let used = try rig.driver.takeUsed()
      if popped && used?.head == UInt32(head) { matches += 1 }
    }
    #expect(matches == 2000)
    #expect(queue.state == VirtqueueState(available: 1464, used: 1464))
  }

  @Test(arguments: RingKind.allCases)
  func theLargestQueueIsServedToItsLastEntry(ring: RingKind) throws {
    let memory = try GuestMemory(count: 4 << 20)
    let driver = try MockQueue(
      in: memory,
      at: GuestAddress(0),
      size: 32768,
      isPacked: ring.isPacked
    )
    let rig = try QueueRig(ring)
    var configuration = rig.configuration
    configuration.size = 32768
    configuration.descriptorTable = driver.descriptorTable
    configuration.availableRing = driver.availableRing
    configuration.usedRing = driver.usedRing
    var queue = try Virtqueue(configuration, in: memory)
    var chain = DescriptorChain(in: memory)
    try driver.add([MockBuffer](repeating: .writable(0x200000, 16), count: 32768))
    #expect(try queue.pop(into: &chain))
    #expect(chain.writableCount == 16 * 32768)
  }

  @Test(arguments: RingKind.allCases)
  func aPutBackChainComesAgain(ring: RingKind) throws {
    let rig = try QueueRig(ring)
    let head = try rig.driver.add([.writable(0x8000, 64)])
    var queue = try rig.makeQueue()
    var chain = rig.makeChain()
    #expect(try queue.pop(into: &chain))
    queue.putBack()
    #expect(queue.state == .start(isPacked: ring.isPacked))
    #expect(try queue.pop(into: &chain))
    #expect(chain.ticket.id == head)
    #expect(try queue.pop(into: &chain) == false)
  }

  @Test(arguments: RingKind.allCases)
  func severalChainsArePutBackTheLastFirst(ring: RingKind) throws {
    let rig = try QueueRig(ring)
    let buffers: [[MockBuffer]] = [
      [.writable(0x8000, 64)], [.readable(0x8040, 8), .writable(0x8080, 64)],
      [.writable(0x80C0, 64)],
    ]
    let heads = try buffers.map { try rig.driver.add($0) }
    var queue = try rig.makeQueue()
    var chain = rig.makeChain()
    var tickets: [ChainTicket] = []
    while try queue.pop(into: &chain) { tickets.append(chain.ticket) }
    for ticket in tickets.dropFirst().reversed() { queue.putBack(ticket) }
    for head in heads.dropFirst() {
      #expect(try queue.pop(into: &chain))
      #expect(chain.ticket.id == head)
    }
    queue.putBack(chain.ticket)
    queue.complete(tickets[0], written: 5)
    queue.publish()
    #expect(try rig.driver.takeUsed()?.head == UInt32(heads[0]))
    #expect(try queue.pop(into: &chain))
    #expect(chain.ticket.id == heads[2])
  }

  @Test(arguments: RingKind.allCases)
  func anotherQueueGoesOnFromTheSavedState(ring: RingKind) throws {
    let rig = try QueueRig(ring)
    let heads = try (0..<4).map { try rig.driver.add([.writable(0x8000 + 64 * $0, 64)]) }
    var first = try rig.makeQueue()
    var chain = rig.makeChain()
    for _ in 0..<2 {
      #expect(try first.pop(into: &chain))
      first.complete(chain, written: 0)
    }
    first.publish()
    var configuration = rig.configuration
    configuration.state = first.state
    var second = try Virtqueue(configuration, in: rig.memory)
    for _ in 0..<2 {
      #expect(try second.pop(into: &chain))
      second.complete(chain, written: 0)
    }
    second.publish()
    let used = try (0..<4).map { _ in try #require(try rig.driver.takeUsed()) }
    #expect(used.map(\.head) == heads.map(UInt32.init))
  }

  @Test(arguments: RingKind.allCases)
  func aChainOfExactlyFourGiBIsAccepted(ring: RingKind) throws {
    // The same megabytes again and again: nothing says that buffers are distinct.
    let memory = try GuestMemory(count: 2 << 30)
    let driver = try MockQueue(
      in: memory,
      at: GuestAddress(0x1000),
      size: 8,
      isPacked: ring.isPacked
    )
    let rig = try QueueRig(ring)
    var queue = try Virtqueue(rig.configuration, in: memory)
    var chain = DescriptorChain(in: memory)
    try driver.add([MockBuffer](repeating: .writable(0x10000, 1 << 30), count: 4))
    #expect(try queue.pop(into: &chain))
    #expect(chain.writableCount == 1 << 32)
  }
}
