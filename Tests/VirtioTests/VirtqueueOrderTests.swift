import GuestMemory
import TestSupport
import Testing
import Virtio

@Suite struct VirtqueueOrderTests {
  private static let inOrder: VirtioFeatures = [.version1, .inOrder]

  @Test(arguments: RingKind.allCases)
  func withTheFeatureChainsComeBackInOrder(ring: RingKind) throws {
    let rig = try QueueRig(ring, features: Self.inOrder)
    var queue = try rig.makeQueue()
    var chain = rig.makeChain()
    for _ in 0..<100 {
      let ids = try (0..<5).map { _ in try rig.driver.add([.writable(0x8000, 64)]) }
      var tickets: [ChainTicket] = []
      while try queue.pop(into: &chain) { tickets.append(chain.ticket) }
      for index in [3, 1, 4] { queue.complete(tickets[index], written: UInt32(index)) }
      queue.publish()
      #expect(try rig.driver.takeUsed() == nil)
      #expect(queue.needsInterrupt() == false)
      queue.complete(tickets[0], written: 0)
      queue.publish()
      let early = try (0..<2).map { _ in try #require(try rig.driver.takeUsed()) }
      #expect(try rig.driver.takeUsed() == nil)
      queue.complete(tickets[2], written: 2)
      queue.publish()
      let used = early + (try (0..<3).map { _ in try #require(try rig.driver.takeUsed()) })
      #expect(used.map(\.head) == ids.map(UInt32.init))
      #expect(used.map(\.written) == [0, 1, 2, 3, 4])
      #expect(queue.needsInterrupt() == true)
    }
  }

  @Test(arguments: RingKind.allCases)
  func withoutTheFeatureChainsComeBackAsTheyAreCompleted(ring: RingKind) throws {
    let rig = try QueueRig(ring)
    var queue = try rig.makeQueue()
    var chain = rig.makeChain()
    let ids = try (0..<3).map { _ in try rig.driver.add([.writable(0x8000, 64)]) }
    var tickets: [ChainTicket] = []
    while try queue.pop(into: &chain) { tickets.append(chain.ticket) }
    for ticket in tickets.reversed() { queue.complete(ticket, written: 0) }
    queue.publish()
    let used = try (0..<3).map { _ in try #require(try rig.driver.takeUsed()) }
    #expect(used.map(\.head) == ids.reversed().map(UInt32.init))
  }

  @Test(arguments: RingKind.allCases)
  func aPutBackChainKeepsItsTurn(ring: RingKind) throws {
    let rig = try QueueRig(ring, size: 2, features: Self.inOrder)
    var queue = try rig.makeQueue()
    var chain = rig.makeChain()
    for _ in 0..<5 {
      let id = try rig.driver.add([.writable(0x8000, 64)])
      #expect(try queue.pop(into: &chain))
      queue.putBack()
      #expect(try queue.pop(into: &chain))
      queue.complete(chain, written: 1)
      queue.publish()
      #expect(try rig.driver.takeUsed()?.head == UInt32(id))
    }
  }

  // (ring, the base, the state, the used index in a split ring)
  @Test(
    arguments: [
      (.split, 0x0000_0007, VirtqueueState(available: 7, used: 5), 5),
      (.packed, 0x8003_0001, VirtqueueState(available: 1, used: 0x8003), 0),
      (.packed, 0x8000_8004, VirtqueueState(available: 0x8004, used: 0x8000), 0),
    ] as [(RingKind, UInt32, VirtqueueState, UInt16)]
  )
  func aRingsBaseHasTheFormThatVhostUserGivesIt(
    ring: RingKind,
    base: UInt32,
    state: VirtqueueState,
    usedIndex: UInt16
  ) throws {
    let rig = try QueueRig(ring)
    var configuration = rig.configuration
    try rig.memory.store16(usedIndex, at: configuration.usedRing &+ 2)
    try configuration.setRingBase(base, in: rig.memory)
    #expect(configuration.state == state)
    #expect(configuration.ringBase == base)
    try configuration.check(in: rig.memory)
  }

  @Test func aRingsBaseNeedsTheUsedIndexInMemory() throws {
    let rig = try QueueRig()
    var configuration = rig.configuration
    configuration.usedRing = GuestAddress(QueueRig.hole)
    #expect(throws: VirtqueueError.outsideMemory(.used, GuestAddress(QueueRig.hole), count: 4)) {
      try configuration.setRingBase(0, in: rig.memory)
    }
  }
}
