import GuestMemory
import HostOS
import TestSupport
import Testing
import Virtio

@Suite struct PackedRingTests {
  @Test(arguments: [1, 2, 3, 5, 7, 8, 33] as [UInt16])
  func chainsOfEveryLengthWrapManyTimes(size: UInt16) throws {
    let rig = try QueueRig(.packed, size: size)
    var queue = try rig.makeQueue()
    var chain = rig.makeChain()
    var matches = 0
    for round in 0..<2000 {
      let count = round % Int(size) + 1
      let id = try rig.driver.add([MockBuffer](repeating: .writable(0x8000, 2), count: count))
      let isFound = try queue.pop(into: &chain)
      let written = UInt32(chain.writableCount)
      queue.complete(chain, written: written)
      queue.publish()
      let used = try rig.driver.takeUsed()
      if isFound, written == 2 * count, used?.head == UInt32(id), used?.written == written {
        matches += 1
      }
      #expect(try queue.pop(into: &chain) == false)
    }
    #expect(matches == 2000)
    #expect(queue.state.available == queue.state.used)
  }

  @Test func aRingIsFilledToItsLastDescriptorAndEmptiedInAnotherOrder() throws {
    let rig = try QueueRig(.packed, size: 7)
    var queue = try rig.makeQueue()
    var chain = rig.makeChain()
    for _ in 0..<50 {
      let lengths = [2, 1, 3, 1]
      let ids = try lengths.map {
        try rig.driver.add([MockBuffer](repeating: .writable(0x8000, 2), count: $0))
      }
      var tickets: [ChainTicket] = []
      while try queue.pop(into: &chain) { tickets.append(chain.ticket) }
      #expect(tickets.map(\.id) == ids)
      for ticket in tickets.reversed() { queue.complete(ticket, written: 1) }
      queue.publish()
      let used = try lengths.map { _ in try #require(try rig.driver.takeUsed()) }
      #expect(used.map(\.head) == ids.reversed().map(UInt32.init))
    }
  }

  @Test func theBufferIDIsTheLastDescriptorsAndMayBeAnyNumber() throws {
    let rig = try QueueRig(.packed)
    var queue = try rig.makeQueue()
    var chain = rig.makeChain()
    let ring = rig.driver.descriptorTable
    try rig.memory.store64(0x9000, at: ring &+ 16)
    try rig.memory.store64(4 | 0xFFFE << 32 | 1 << 55, at: ring &+ 24)
    try rig.memory.store64(0x9000, at: ring)
    try rig.memory.store64(4 | 0x1234 << 32 | 1 << 55 | 1 << 48, at: ring &+ 8)
    #expect(try queue.pop(into: &chain))
    #expect(chain.head == 0)
    #expect(chain.ticket.id == 0xFFFE)
    queue.complete(chain, written: 0)
    queue.publish()
    #expect(try rig.memory.load16(at: ring &+ 12) == 0xFFFE)
    #expect(queue.state == VirtqueueState(available: 0x8002, used: 0x8002))
  }

  @Test func ofABatchTheFirstIsShownLast() throws {
    let rig = try QueueRig(.packed)
    for _ in 0..<3 { try rig.driver.add([.writable(0x8000, 4)]) }
    var queue = try rig.makeQueue()
    var chain = rig.makeChain()
    let first = try rig.memory.load64(at: rig.driver.descriptorTable &+ 8)
    for _ in 0..<3 {
      #expect(try queue.pop(into: &chain))
      queue.complete(chain, written: 4)
    }
    #expect(try rig.memory.load64(at: rig.driver.descriptorTable &+ 8) == first)
    #expect(try rig.driver.takeUsed() == nil)
    queue.publish()
    #expect(try rig.driver.usedIndex() == 3)
  }

  // (buffer, the flags of its used descriptor on the first way through)
  @Test(
    arguments: [
      (.readable(0x8000, 4), 0x8080), (.writable(0x8000, 4), 0x8082),
    ] as [(MockBuffer, UInt16)]
  )
  func aUsedDescriptorSaysWhetherThereMayBeData(buffer: MockBuffer, flags: UInt16) throws {
    let rig = try QueueRig(.packed)
    try rig.driver.add([buffer])
    var queue = try rig.makeQueue()
    var chain = rig.makeChain()
    #expect(try queue.pop(into: &chain))
    queue.complete(chain, written: 0)
    queue.publish()
    #expect(try rig.driver.usedFlags() == flags)
  }

  @Test func inATableAllFlagsButOneAreIgnored() throws {
    let rig = try QueueRig(.packed)
    let table = GuestAddress(0x8000)
    try MockDescriptor(0xA000, 4).store(0, of: table, in: rig.memory)
    try rig.memory.store64(4 | 0xFFFD << 48, at: table &+ 8)
    try rig.memory.store64(0xB000, at: table &+ 16)
    try rig.memory.store64(6 | 0xFFFF << 32 | 0xFFFF << 48, at: table &+ 24)
    try rig.driver.store(
      MockDescriptor(table.rawValue, 32, MockDescriptor.indirect | MockDescriptor.write),
      at: 0
    )
    try rig.driver.offer(0)
    var queue = try rig.makeQueue()
    var chain = rig.makeChain()
    #expect(try queue.pop(into: &chain))
    #expect(chain.readableCount == 4)
    #expect(chain.writableCount == 6)
  }

  // (`VIRTIO_F_EVENT_IDX`, what the device's event suppression structure says when kicks are
  // wanted)
  @Test(arguments: [(false, 0), (true, 2 << 16 | 0x8001)] as [(Bool, UInt32)])
  func theDeviceSaysWhenItWantsToBeKicked(hasEventIndex: Bool, expected: UInt32) throws {
    let rig = try QueueRig(
      .packed,
      features: hasEventIndex ? [.version1, .eventIndex] : .version1
    )
    try rig.driver.add([.writable(0x8000, 4)])
    var queue = try rig.makeQueue()
    var chain = rig.makeChain()
    #expect(try queue.pop(into: &chain))
    queue.disableNotifications()
    #expect(try rig.memory.load32(at: rig.driver.usedRing) == 1 << 16)
    #expect(queue.enableNotifications() == false)
    #expect(try rig.memory.load32(at: rig.driver.usedRing) == expected)
  }

  @Test func aPutBackChainAcrossTheEndOfTheRingComesAgain() throws {
    let rig = try QueueRig(.packed, size: 5, startingAt: 0x8004)
    try rig.driver.add([.readable(0x8000, 4), .writable(0x9000, 4), .writable(0x9000, 4)])
    var queue = try rig.makeQueue()
    var chain = rig.makeChain()
    #expect(try queue.pop(into: &chain))
    #expect(queue.state == VirtqueueState(available: 2, used: 0x8004))
    queue.putBack()
    #expect(queue.state == VirtqueueState(available: 0x8004, used: 0x8004))
    #expect(try queue.pop(into: &chain))
    #expect(chain.writableCount == 8)
  }

  @Test func theEventStructuresMayBeTheLastBytesOfMemory() throws {
    let memory = try GuestMemory(count: 0x4000)
    let configuration = VirtqueueConfiguration(
      index: 0,
      size: 512,
      descriptorTable: GuestAddress(0),
      availableRing: GuestAddress(0x3FF8),
      usedRing: GuestAddress(0x3FFC),
      features: [.version1, .packedRing],
      kick: try EventFD()
    )
    var queue = try Virtqueue(configuration, in: memory)
    var chain = DescriptorChain(in: memory)
    #expect(try queue.pop(into: &chain) == false)
    #expect(queue.enableNotifications() == false)
  }
}
