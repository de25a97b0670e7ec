import GuestMemory
import TestSupport
import Testing
import Virtio

@Suite struct VirtqueueNotificationTests {
  private static let eventIndex: VirtioFeatures = [.version1, .eventIndex]

  @Test(arguments: RingKind.allCases)
  func anInterruptIsDueUnlessTheFlagSaysNo(ring: RingKind) throws {
    let rig = try QueueRig(ring)
    var queue = try rig.makeQueue()
    try use(1, of: rig, &queue)
    #expect(queue.needsInterrupt() == true)
    try rig.driver.suppressInterrupts(true)
    try use(1, of: rig, &queue)
    #expect(queue.needsInterrupt() == false)
  }

  @Test(arguments: RingKind.allCases)
  func withoutUsedChainsNoInterruptIsDue(ring: RingKind) throws {
    let rig = try QueueRig(ring)
    var queue = try rig.makeQueue()
    #expect(queue.needsInterrupt() == false)
    try use(1, of: rig, &queue)
    #expect(queue.needsInterrupt() == true)
    #expect(queue.needsInterrupt() == false)
  }

  // (index before, chains used, `used_event`, whether the index passes it)
  @Test(
    arguments: [
      (0, 1, 0, true), (0, 1, 1, false), (0, 3, 2, true), (0, 3, 3, false), (5, 2, 4, false),
      (5, 2, 5, true), (5, 2, 6, true), (65534, 4, 65535, true), (65534, 4, 1, true),
      (65534, 4, 2, false), (65534, 4, 65533, false),
    ] as [(UInt16, Int, UInt16, Bool)]
  )
  func theEventIndexAsksForTheInterruptThatPassesIt(
    start: UInt16,
    count: Int,
    event: UInt16,
    isDue: Bool
  ) throws {
    let rig = try QueueRig(features: Self.eventIndex, startingAt: start)
    var queue = try rig.makeQueue()
    try rig.driver.setUsedEvent(event)
    try use(count, of: rig, &queue)
    #expect(queue.needsInterrupt() == isDue)
  }

  @Test func withTheEventIndexTheInterruptFlagIsIgnored() throws {
    let rig = try QueueRig(features: Self.eventIndex)
    try rig.driver.suppressInterrupts(true)
    var queue = try rig.makeQueue()
    try use(1, of: rig, &queue)
    #expect(queue.needsInterrupt() == true)
  }

  @Test func afterAWholeTurnOfTheIndexAnInterruptIsDue() throws {
    let rig = try QueueRig(features: Self.eventIndex)
    var queue = try rig.makeQueue()
    try rig.driver.setUsedEvent(9)
    for _ in 0..<65536 { try use(1, of: rig, &queue) }
    #expect(queue.needsInterrupt() == true)
  }

  @Test(
    arguments: [[.version1], [.version1, .eventIndex]] as [VirtioFeatures],
    RingKind.allCases
  )
  func kicksAreWantedOnlyAfterTheQueueSaysSo(features: VirtioFeatures, ring: RingKind) throws {
    let rig = try QueueRig(ring, features: features)
    var queue = try rig.makeQueue()
    queue.disableNotifications()
    try use(3, of: rig, &queue)
    #expect(queue.enableNotifications() == false)
    _ = try rig.driver.needsKick()
    try rig.driver.add([.writable(0x8000, 64)])
    #expect(try rig.driver.needsKick())
  }

  @Test(arguments: RingKind.allCases)
  func withoutTheEventIndexKicksAreSwitchedOff(ring: RingKind) throws {
    let rig = try QueueRig(ring)
    var queue = try rig.makeQueue()
    queue.disableNotifications()
    try rig.driver.add([.writable(0x8000, 64)])
    #expect(try rig.driver.needsKick() == false)
  }

  @Test(
    arguments: [[.version1], [.version1, .eventIndex]] as [VirtioFeatures],
    RingKind.allCases
  )
  func aChainThatCameBeforeKicksWereEnabledIsReported(features: VirtioFeatures, ring: RingKind)
    throws
  {
    let rig = try QueueRig(ring, features: features)
    var queue = try rig.makeQueue()
    queue.disableNotifications()
    try rig.driver.add([.writable(0x8000, 64)])
    #expect(queue.enableNotifications() == true)
  }

  // (place before with its wrap counter, chains used, the driver's event, whether the device passes
  // it), in a ring of 8
  @Test(
    arguments: [
      (0x8000, 1, 0x8000, true), (0x8000, 1, 0x8001, false), (0x8000, 3, 0x8002, true),
      (0x8000, 3, 0x8003, false), (0x8005, 2, 0x8004, false), (0x8005, 2, 0x8005, true),
      (0x8006, 4, 0x8007, true), (0x8006, 4, 0x0001, true), (0x8006, 4, 0x0002, false),
      (0x8006, 4, 0x8005, false), (0x0006, 4, 0x8001, true), (0x0006, 4, 0x8002, false),
      (0x0006, 2, 0x8000, false), (0x8003, 2, 0x0003, false), (0x8003, 2, 0x7FFF, false),
      (0x8003, 2, 0xFFFF, false),
    ] as [(UInt16, Int, UInt16, Bool)]
  )
  func thePackedEventAsksForTheInterruptThatPassesIt(
    start: UInt16,
    count: Int,
    event: UInt16,
    isDue: Bool
  ) throws {
    let rig = try QueueRig(.packed, features: Self.eventIndex, startingAt: start)
    var queue = try rig.makeQueue()
    try rig.driver.setUsedEvent(event)
    try use(count, of: rig, &queue)
    #expect(queue.needsInterrupt() == isDue)
  }

  @Test func afterAWholeTurnOfThePackedRingAnInterruptIsDue() throws {
    let rig = try QueueRig(.packed, features: Self.eventIndex)
    var queue = try rig.makeQueue()
    try rig.driver.setUsedEvent(0x8007)
    for _ in 0..<19 { try use(1, of: rig, &queue) }
    #expect(queue.needsInterrupt() == true)
  }

  @Test func aPackedEventForOneDescriptorNeedsTheFeature() throws {
    let rig = try QueueRig(.packed)
    var queue = try rig.makeQueue()
    try rig.driver.setUsedEvent(0x8005)
    try use(1, of: rig, &queue)
    #expect(queue.needsInterrupt() == true)
  }

  @Test func theReservedPackedEventFlagsSuppressNothing() throws {
    let rig = try QueueRig(.packed, features: Self.eventIndex)
    var queue = try rig.makeQueue()
    try rig.memory.store32(3 << 16 | 0x8005, at: rig.driver.availableRing)
    try use(1, of: rig, &queue)
    #expect(queue.needsInterrupt() == true)
  }

  private func use(_ count: Int, of rig: QueueRig, _ queue: inout Virtqueue) throws {
    var chain = rig.makeChain()
    for _ in 0..<count {
      try rig.driver.add([.writable(0x8000, 64)])
      _ = try queue.pop(into: &chain)
      queue.complete(chain, written: 0)
      queue.publish()
      _ = try rig.driver.takeUsed()
    }
  }
}
