import Testing
import Virtio

@Suite struct TokenBucketTests {
  private static let second: UInt64 = 1_000_000_000

  @Test func aBurstGoesAtOnceAndTheRestAtTheRate() {
    var bucket = TokenBucket(rate: 10, burst: 3, at: 100)
    let moments = (0..<6).map { _ in bucket.take(1, at: 100) }
    #expect(moments == [100, 100, 100, 100_000_100, 200_000_100, 300_000_100])
  }

  @Test func aPauseFillsTheBucketNoHigherThanTheBurst() {
    var bucket = TokenBucket(rate: 1000, burst: 5, at: 0)
    #expect(bucket.take(5, at: 0) == 0)
    let later = 3600 * Self.second
    #expect(bucket.take(5, at: later) == later)
    #expect(bucket.take(1, at: later) == later + 1_000_000)
  }

  @Test func moreThanTheBurstWaitsForAFullBucketAndLeavesADebt() {
    var bucket = TokenBucket(rate: 100, burst: 10, at: 0)
    #expect(bucket.take(1000, at: 0) == 0)
    // 990 are owed, and one more is wanted.
    #expect(bucket.take(1, at: 0) == 9_910_000_000)
    #expect(bucket.take(1000, at: 0) == 10_010_000_000)
  }

  @Test func whoComesLaterDoesNotOvertake() {
    var bucket = TokenBucket(rate: 1000, burst: 1000, at: 0)
    _ = bucket.take(1000, at: 0)
    let large = bucket.take(800, at: 0)
    let small = (1...50).map { bucket.take(1, at: UInt64($0) * 10_000_000) }
    #expect(large == 800_000_000)
    #expect(small.allSatisfy { $0 > large })
  }

  @Test func whatIsPutBackCountsForTheNext() {
    var bucket = TokenBucket(rate: 10, burst: 4, at: 0)
    _ = bucket.take(4, at: 0)
    #expect(bucket.take(4, at: 0) == 400_000_000)
    bucket.putBack(4)
    #expect(bucket.take(1, at: 0) == 100_000_000)
    bucket.putBack(1000)
    #expect((0..<5).map { _ in bucket.take(1, at: 0) } == [0, 0, 0, 0, 100_000_000])
  }

  @Test func fractionsOfATokenAreKept() {
    var bucket = TokenBucket(rate: 3, burst: 1, at: 0)
    _ = bucket.take(1, at: 0)
    // A third of a second is no whole number of nanoseconds.
    var moment: UInt64 = 0
    for _ in 0..<300 { moment = bucket.take(1, at: moment) }
    #expect(moment >= 100 * Self.second)
    #expect(moment <= 100 * Self.second + 1)
  }

  @Test func aClockThatStandsStillOrIsReadLateGivesNothing() {
    var bucket = TokenBucket(rate: 10, burst: 1, at: 50 * Self.second)
    _ = bucket.take(1, at: 50 * Self.second)
    #expect(bucket.take(1, at: 49 * Self.second) == 49 * Self.second + 100_000_000)
    #expect(bucket.take(1, at: 50 * Self.second) == 50 * Self.second + 200_000_000)
  }

  @Test(arguments: [0, 1, 1 << 32, .max] as [UInt64])
  func noNumberIsTooLarge(number: UInt64) {
    var bucket = TokenBucket(rate: number, burst: number, at: 0)
    for now in [0, 1, 1 << 40, .max - 1, .max] as [UInt64] {
      #expect(bucket.take(number, at: now) >= now)
      #expect(bucket.take(.max, at: now) >= now)
      bucket.putBack(number)
    }
  }

  @Test(arguments: 0..<8 as Range<UInt64>)
  func inNoTimeMoreCountsThanTheBurstAndWhatCame(seed: UInt64) {
    var random = SplitMix64(seed)
    let rate = random.next() % 100_000 + 1
    let burst = random.next() % 5000 + 1
    var bucket = TokenBucket(rate: rate, burst: burst, at: 0)
    var now: UInt64 = 0
    var passed: [(moment: UInt64, count: UInt64)] = []
    for _ in 0..<400 {
      now += random.next() % (2 * Self.second * burst / rate / 4 + 2)
      let count = random.next() % burst + 1
      passed.append((bucket.take(count, at: now), count))
    }
    var excess = 0
    for first in passed.indices {
      var sum: UInt64 = 0
      for last in first..<passed.count {
        sum += passed[last].count
        let span = passed[last].moment - passed[first].moment
        let come = UInt64(Double(span) * Double(rate) / Double(Self.second)) + 1
        if sum > burst + come { excess += 1 }
      }
    }
    #expect(excess == 0)
    #expect(zip(passed, passed.dropFirst()).allSatisfy { $0.moment <= $1.moment })
  }
}

/// Reproducible numbers (Steele, Lea, Flood: SplitMix).
struct SplitMix64: RandomNumberGenerator {
  private var state: UInt64

  init(_ seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var word = state
    word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
    return word ^ word >> 31
  }
}
