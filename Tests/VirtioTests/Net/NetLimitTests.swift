import GuestMemory
import TestSupport
import Testing
import Virtio

/// Limits on what an interface receives and sends.
@Suite(.timeLimit(.minutes(5))) struct NetLimitTests {
  private static func limiter(_ rate: RateLimit.Rate, _ clock: ManualClock) -> RateLimiter {
    RateLimiter(RateLimit(bytes: rate), clock: clock)
  }

  @Test func whatIsSentAboveTheLimitWaits() throws {
    let clock = ManualClock()
    let limits = NetLimits(send: Self.limiter(.init(perSecond: 1000, burst: 150), clock))
    let rig = try NetRig(limits: limits)
    for index in 0..<3 {
      let place = NetRig.sendArea + 0x1000 * UInt64(index)
      let frame =
        [UInt8](repeating: 0, count: 12) + NetRig.frame(to: .broadcast, count: 100 + index)
      try rig.memory.write(frame, at: GuestAddress(place))
      try rig.transmit[0].add([.readable(place, UInt32(112 + index))])
    }
    try rig.driver.kick(1, rig.transmit[0])

    #expect(try rig.sent().count == 112)
    #expect(try rig.command(0, 0, [1]) == 0)
    #expect(rig.network.take() == nil)
    clock.advance(nanoseconds: 60_000_000)
    #expect(try rig.sent().count == 113)
    clock.advance(nanoseconds: 110_000_000)
    #expect(try rig.sent().count == 114)
  }

  @Test func whatComesAboveTheLimitWaitsInTheNetwork() throws {
    let clock = ManualClock()
    let limits = NetLimits(receive: Self.limiter(.init(perSecond: 1000, burst: 100), clock))
    let rig = try NetRig(limits: limits)
    try rig.addBuffers(Array(repeating: 256, count: 8))
    for count in 0..<3 { rig.network.send(NetRig.frame(count: 200 + count)) }

    // A frame's size shows when it is there: what the second is above the limit, the third waits for.
    #expect(try rig.received() == 212)
    #expect(try rig.received() == 213)
    #expect(try rig.command(0, 0, [1]) == 0)
    #expect(try rig.receive[0].takeUsed() == nil)
    clock.advance(nanoseconds: 400_000_000)
    #expect(try rig.received() == 214)
  }

  @Test func aFrameThatWaitsForItsTurnSurvivesTheResetOfItsQueue() throws {
    let clock = ManualClock()
    let limits = NetLimits(send: Self.limiter(.init(perSecond: 1000, burst: 60), clock))
    let rig = try NetRig(limits: limits)
    try rig.send(NetRig.frame(to: .broadcast))
    #expect(try rig.sent().count == 72)
    try rig.transmit[0].add([.readable(NetRig.sendArea, 72)])
    try rig.driver.kick(1, rig.transmit[0])
    #expect(rig.rig.transport.resetQueue(1))
    #expect(try rig.transmit[0].takeUsed() == nil)
    #expect(rig.network.take() == nil)
  }
}
