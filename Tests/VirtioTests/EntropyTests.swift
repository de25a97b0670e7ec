import DeviceModel
import GuestMemory
import Synchronization
import TestSupport
import Testing
import Virtio

@Suite(.timeLimit(.minutes(5))) struct EntropyTests {
  @Test func buffersAreFilledWithRandomBytes() throws {
    let rig = try DeviceRig(Entropy())
    try rig.driver.negotiate()
    let queue = try rig.driver.makeQueue(0)
    rig.driver.start()
    let buffers: [MockBuffer] = [.writable(0x100000, 100), .writable(0x101000, 100)]
    #expect(try rig.driver.request(0, queue, buffers) == 200)
    let first = try rig.memory.read(at: GuestAddress(0x100000), count: 100)
    let second = try rig.memory.read(at: GuestAddress(0x101000), count: 100)
    #expect(first != second)
    #expect(Set(first).count > 20)
  }

  @Test func aRequestGetsABoundedNumberOfBytes() throws {
    let rig = try DeviceRig(Entropy())
    try rig.driver.negotiate()
    let queue = try rig.driver.makeQueue(0)
    rig.driver.start()
    #expect(try rig.driver.request(0, queue, [.writable(0x100000, 0x200000)]) == 4096)
    #expect(try rig.driver.request(0, queue, [.readable(0x100000, 0x200000)]) == 0)
  }

  @Test(arguments: RingKind.allCases)
  func whatIsAboveTheLimitWaits(ring: RingKind) throws {
    let clock = CountingClock()
    let limit = RateLimit(bytes: .init(perSecond: 1000, burst: 100))
    let rig = try DeviceRig(Entropy(limiter: RateLimiter(limit, clock: clock)))
    try rig.driver.negotiate(without: ring.isPacked ? [] : .packedRing)
    let queue = try rig.driver.makeQueue(0)
    rig.driver.start()
    #expect(try rig.driver.request(0, queue, [.writable(0x100000, 100)]) == 100)
    let readings = clock.readings
    try queue.add([.writable(0x100000, 60)])
    try rig.driver.kick(0, queue)
    try rig.driver.wait { clock.readings > readings }
    #expect(try queue.takeUsed() == nil)

    clock.manual.advance(nanoseconds: 60_000_000)

    #expect(try rig.driver.waitForUsed(queue).written == 60)
    // One that waits is there again for whoever serves the queue next.
    try queue.add([.writable(0x100000, 4000)])
    try rig.driver.kick(0, queue)
    #expect(rig.transport.resetQueue(0))
    #expect(try queue.takeUsed() == nil)
  }
}

/// A clock that a test moves, and that knows how often it was looked at.
private final class CountingClock: DeviceClock {
  let manual = ManualClock()
  private let count = Atomic(0)

  var readings: Int { count.load(ordering: .acquiring) }
  var monotonic: UInt64 {
    count.wrappingAdd(1, ordering: .acquiringAndReleasing)
    return manual.monotonic
  }
  var realTime: Int64 { manual.realTime }
  func makeTimer() -> any DeviceTimer { manual.makeTimer() }
}
