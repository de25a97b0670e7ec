import DeviceModel
import HostOS
import Interrupts
import Synchronization
import Testing

/// The pin as the controller sees it: the OR of its sources.
@Suite struct InterruptPinTests {
  /// A controller that writes down what it is told.
  final class RecordingController: PinController {
    private let state = Mutex<[(pin: GSI, level: Bool)]>([])

    /// The levels in the order in which they were set.
    var levels: [Bool] { state.withLock { $0.map(\.level) } }
    /// The pins in the order in which they were set.
    var pins: [GSI] { state.withLock { $0.map(\.pin) } }

    func setLevel(of pin: GSI, asserted: Bool) { state.withLock { $0.append((pin, asserted)) } }
  }

  let controller = RecordingController()
  let pin: InterruptPin

  init() { pin = InterruptPin(GSI(17), on: controller) }

  @Test func aPinThatNobodyTouchesIsNeverSet() {
    let source = pin.makeSource()
    source.deassert()
    #expect(controller.levels == [])
  }

  @Test func oneSourceRaisesAndLowersItsPin() {
    let source = pin.makeSource()

    source.assert()
    source.deassert()

    #expect(controller.levels == [true, false])
    #expect(controller.pins == [GSI(17), GSI(17)])
  }

  @Test func assertingTwiceCountsOnce() {
    let source = pin.makeSource()

    source.assert()
    source.assert()
    source.deassert()
    source.deassert()
    source.assert()

    #expect(controller.levels == [true, false, true])
  }

  @Test func thePinIsHighWhileAnySourceIs() {
    let first = pin.makeSource()
    let second = pin.makeSource()

    first.assert()
    second.assert()
    first.deassert()
    #expect(controller.levels == [true])

    second.deassert()
    #expect(controller.levels == [true, false])
  }

  @Test func aSourceThatIsReleasedWhileAssertedLowersThePin() {
    var source: (any InterruptLine)? = pin.makeSource()
    source?.assert()

    source = nil

    #expect(source == nil)
    #expect(controller.levels == [true, false])
  }

  @Test func aSourceThatIsReleasedWhileAssertedLeavesTheOthersAsTheyAre() {
    let other = pin.makeSource()
    var source: (any InterruptLine)? = pin.makeSource()
    other.assert()
    source?.assert()

    source = nil
    #expect(source == nil)
    #expect(controller.levels == [true])

    other.deassert()
    #expect(controller.levels == [true, false])
  }

  @Test func aSourceThatIsReleasedWhileLowChangesNothing() {
    var source: (any InterruptLine)? = pin.makeSource()
    source?.assert()
    source?.deassert()

    source = nil

    #expect(source == nil)
    #expect(controller.levels == [true, false])
  }

  @Test func aSourceKeepsItsPinAlive() {
    var pin: InterruptPin? = InterruptPin(GSI(3), on: controller)
    let source = pin?.makeSource()

    pin = nil
    source?.assert()

    #expect(pin == nil)
    #expect(controller.pins == [GSI(3)])
  }

  @Test func pinsDoNotShareSources() {
    let other = InterruptPin(GSI(18), on: controller)
    let source = pin.makeSource()
    let neighbour = other.makeSource()

    source.assert()
    neighbour.assert()
    source.deassert()

    #expect(controller.levels == [true, true, false])
    #expect(controller.pins == [GSI(17), GSI(18), GSI(17)])
  }

  /// A raise and a fall that overtook one another would show as two equal levels in a row, or as a
  /// last level that is not the OR.
  @Test(arguments: [false, true])
  func levelChangesReachTheControllerInOrderUnderContention(endsHigh: Bool) throws {
    let pin = pin
    let keeper = pin.makeSource()
    var threads: [TestThread] = []
    for _ in 0..<4 {
      threads.append(
        try TestThread {
          for round in 0..<2000 {
            let source = pin.makeSource()
            source.assert()
            // Every other one is released while asserted.
            if round % 2 == 0 { source.deassert() }
          }
        }
      )
    }
    for thread in threads { thread.join() }
    if endsHigh { keeper.assert() }

    let levels = controller.levels
    #expect(levels.first == true)
    #expect(zip(levels, levels.dropFirst()).allSatisfy { $0 != $1 })
    #expect(levels.last == endsHigh)
  }

  /// Several threads that drive one source: the source, too, is idempotent under contention.
  @Test func oneSourceMayBeDrivenByManyThreads() throws {
    let source: any InterruptLine = pin.makeSource()
    var threads: [TestThread] = []
    for _ in 0..<4 {
      threads.append(
        try TestThread {
          for _ in 0..<2000 {
            source.assert()
            source.deassert()
          }
        }
      )
    }
    for thread in threads { thread.join() }

    let levels = controller.levels
    #expect(zip(levels, levels.dropFirst()).allSatisfy { $0 != $1 })
    #expect(levels.last == false)
  }
}

/// A thread that can be kept in an array.
final class TestThread {
  private var thread: Thread?

  init(_ body: sending @escaping () -> Void) throws { thread = try Thread("test", body) }

  func join() { thread = nil }
}

@Suite struct GSITests {
  @Test func interruptsAreOrderedAndNamed() {
    #expect(GSI(3) < GSI(16))
    #expect(GSI(rawValue: 16) == GSI(16))
    #expect("\(GSI(16))" == "GSI 16")
  }
}
