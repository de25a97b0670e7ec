import Glibc
import HostOS
import TestSupport
import Testing
import Virtio

@Suite(.timeLimit(.minutes(5))) struct RateGateTests {
  private let clock = ManualClock()

  private func limiter(bytes: UInt64? = nil, operations: UInt64? = nil) -> RateLimiter {
    RateLimiter(
      RateLimit(
        bytes: bytes.map { RateLimit.Rate(perSecond: $0, burst: $0) },
        operations: operations.map { RateLimit.Rate(perSecond: $0, burst: 1) }
      ),
      clock: clock
    )
  }

  /// Whether what the queue is blocked on becomes ready within some milliseconds.
  private func isReady(_ gate: RateGate, within milliseconds: Int32) -> Bool {
    guard case .blocked(let number, for: .readable) = gate.outcome else { return false }
    return isReadable(number, within: milliseconds)
  }

  @Test func withoutALimitEverythingPasses() throws {
    let gate = try RateGate(limiter())
    #expect((0..<1000).allSatisfy { _ in gate.pass(bytes: .max) })
    #expect(gate.isOpen)
  }

  @Test func anOperationWaitsForItsTurnAndPassesThen() throws {
    let gate = try RateGate(limiter(operations: 100))
    #expect(gate.pass(bytes: 1 << 30))
    #expect(!gate.pass(bytes: 0))
    #expect(!gate.isOpen)
    clock.advance(nanoseconds: 9_999_999)
    #expect(!gate.isOpen)
    clock.advance(nanoseconds: 1)
    #expect(isReady(gate, within: 10_000))
    #expect(gate.isOpen)
    #expect(!gate.pass(bytes: 0))
  }

  @Test func theTimerSleepsUntilTheTurn() throws {
    let gate = try RateGate(limiter(bytes: 1000))
    #expect(gate.pass(bytes: 1000))
    #expect(!gate.pass(bytes: 500))
    #expect(!isReady(gate, within: 50))
    #expect(isReady(gate, within: 10_000))
    // The time of this clock has not come: the timer is set again and does not stay ready.
    #expect(!gate.isOpen)
    #expect(!isReady(gate, within: 0))
  }

  @Test func theStricterOfBothLimitsCounts() throws {
    let gate = try RateGate(limiter(bytes: 1000, operations: 10))
    #expect(gate.pass(bytes: 1000))
    #expect(!gate.pass(bytes: 10))
    clock.advance(nanoseconds: 99_999_999)
    #expect(!gate.isOpen)
    clock.advance(nanoseconds: 1)
    #expect(gate.isOpen)
    #expect(!gate.pass(bytes: 900))
    clock.advance(nanoseconds: 100_000_000)
    #expect(!gate.isOpen)
    clock.advance(nanoseconds: 710_000_000)
    #expect(gate.isOpen)
  }

  @Test func queuesOfADeviceShareItsLimitInTurn() throws {
    let limiter = limiter(operations: 10)
    let gates = try (0..<3).map { _ in try RateGate(limiter) }
    #expect(gates.map { $0.pass(bytes: 1) } == [true, false, false])
    clock.advance(nanoseconds: 100_000_000)
    #expect(gates.map(\.isOpen) == [true, true, false])
    clock.advance(nanoseconds: 100_000_000)
    #expect(gates[2].isOpen)
  }

  @Test func whoGivesUpLeavesTheLine() throws {
    let limiter = limiter(operations: 10)
    let first = try RateGate(limiter)
    let second = try RateGate(limiter)
    #expect(first.pass(bytes: 1))
    #expect(!first.pass(bytes: 1))
    first.cancel()
    #expect(first.isOpen)
    #expect(!second.pass(bytes: 1))
    clock.advance(nanoseconds: 100_000_000)
    #expect(second.isOpen)
  }

  @Test func theBurstIsATenthOfASecondUnlessSaid() {
    #expect(RateLimit.Rate(perSecond: 1000).burst == 100)
    #expect(RateLimit.Rate(perSecond: 3).burst == 1)
    #expect(RateLimit.Rate(perSecond: 3, burst: 7).burst == 7)
  }
}
