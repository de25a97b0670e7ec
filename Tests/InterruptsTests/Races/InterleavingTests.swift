import Interrupts
import Synchronization
import TestSupport
import Testing

/// The scheduler itself: it finds what it is there to find.
@Suite struct InterleavingTests {
  private final class Counter: Sendable {
    let lock = PlaneLock(0)
    var value: Int { lock.withLock { $0 } }

    /// Reads in one step and writes in another: an update by somebody else in between is lost.
    func addCarelessly() {
      let before = lock.withLock { $0 }
      lock.withLock { $0 = before + 1 }
    }
  }

  @Test func someSeedLosesAnUpdateAndTheSameSeedLosesItAgain() throws {
    func run(_ seed: UInt64) throws -> (value: Int, order: [Int]) {
      let counter = Counter()
      let result = try Interleaving.run(
        seed: seed,
        [{ counter.addCarelessly() }, { counter.addCarelessly() }]
      )
      #expect(!result.isDeadlocked)
      return (counter.value, result.order)
    }
    let outcomes = try (0..<32 as Range<UInt64>).map { try run($0) }
    #expect(Set(outcomes.map(\.value)) == [1, 2])
    let seed = UInt64(try #require(outcomes.firstIndex { $0.value == 1 }))
    #expect(try run(seed) == outcomes[Int(seed)])
  }

  @Test func everyThreadRunsToItsEnd() throws {
    let counter = Counter()
    let result = try Interleaving.run(
      seed: 7,
      (0..<5).map { _ in { counter.lock.withLock { $0 += 1 } } }
    )
    #expect(counter.value == 5)
    #expect(Set(result.order) == [0, 1, 2, 3, 4])
  }

  @Test func someSeedFindsADeadlock() throws {
    let deadlocks = try (0..<32 as Range<UInt64>).filter { seed in
      let (first, second) = (Counter(), Counter())
      return try Interleaving.run(
        seed: seed,
        [
          { first.lock.withLock { _ in second.lock.withLock { $0 += 1 } } },
          { second.lock.withLock { _ in first.lock.withLock { $0 += 1 } } },
        ]
      ).isDeadlocked
    }
    #expect(!deadlocks.isEmpty && deadlocks.count < 32)
  }
}
