import HostOS
import Synchronization
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(2))) struct SharedActionTests {
  private let action = SharedAction()
  private let counter = Counter()

  private final class Counter: Sendable {
    private let value = Atomic(0)
    var count: Int { value.load(ordering: .relaxed) }
    func add(_ number: Int) { value.wrappingAdd(number, ordering: .relaxed) }
  }

  /// A guest has it done with each byte and each tick: neither time nor stack may grow.
  @Test func itIsDoneHoweverOftenWithoutGettingSlower() {
    let counter = counter
    action.set { counter.add(1) }

    for _ in 0..<1_000_000 { action() }

    #expect(counter.count == 1_000_000)
  }

  @Test func whatIsSetLastIsDoneAndNothingWithoutIt() {
    action()
    let counter = counter
    action.set { counter.add(1) }
    action.set { counter.add(10) }
    action()
    action.set(nil)
    action()
    #expect(counter.count == 10)
  }

  @Test func theLastTimeIsTheLast() {
    let counter = counter
    action.set { counter.add(1) }
    action.callOnce()
    action.callOnce()
    action()
    #expect(counter.count == 1)
  }
}
