import DeviceModel
import Platform
import TestSupport
import Testing

/// A timer that was saved, and another that goes on where it was.
@Suite struct IntervalTimerStateTests {
  /// A timer with its clock and its line.
  struct Rig {
    let line = RecordingLine()
    let clock: ManualClock
    let timer: IntervalTimer

    init(_ clock: ManualClock) {
      self.clock = clock
      timer = IntervalTimer(line: line, clock: clock)
    }

    func program(_ counter: UInt64, mode: UInt64, count: UInt64) {
      timer.write(3, counter << 6 | 0x30 | mode << 1)
      timer.write(counter, count & 0xFF)
      timer.write(counter, count >> 8)
    }

    /// What a driver can see.
    func look() -> [UInt64] {
      // The read-back command: status and count of all three.
      timer.write(3, 0xC2 | 0x0C)
      let counters = (0..<3 as Range<UInt64>).flatMap { counter in
        (0..<3).map { _ in timer.read(counter) }
      }
      return counters + [timer.read(0, region: 1), line.isAsserted ? 1 : 0]
    }
  }

  /// On one clock both do the same from then on, whenever it was.
  @Test(arguments: [0, 1, 2, 3, 4, 5] as [UInt64], 0..<8 as Range<UInt64>)
  func anotherTimerGoesOnAsTheFirst(mode: UInt64, moment: UInt64) {
    let clock = ManualClock()
    let first = Rig(clock)
    first.timer.write(0, moment & 1, region: 1)
    first.program(0, mode: mode, count: 5_000 + 7 * moment)
    first.program(1, mode: 2, count: 18)
    first.program(2, mode: mode, count: 0x8765)
    clock.advance(nanoseconds: moment * 1_300_021)
    if moment == 3 { first.program(0, mode: mode, count: 9_999) }
    if moment == 4 { first.timer.write(0, 0x34) }
    if moment == 5 { first.timer.write(3, 0x00) }
    if moment == 6 { first.timer.write(3, 0x36) }
    clock.advance(nanoseconds: 12_345)

    let second = Rig(clock)
    second.timer.savedState = first.timer.savedState
    let (rises, others) = (first.line.rises, second.line.rises)

    for _ in 0..<40 {
      clock.advance(nanoseconds: 777_001)
      #expect(second.look() == first.look())
      #expect(second.line.rises - others == first.line.rises - rises)
    }
  }

  /// Time that passes in between is none for the timer.
  @Test func anInterruptThatIsDueComesAsMuchLater() {
    let clock = ManualClock()
    let first = Rig(clock)
    // 10 ms.
    first.program(0, mode: 0, count: 11_932)
    clock.advance(nanoseconds: 4_000_000)
    let saved = first.timer.savedState
    clock.advance(seconds: 100)

    let second = Rig(clock)
    second.timer.savedState = saved
    clock.advance(nanoseconds: 5_900_000)
    #expect(!second.line.isAsserted)
    clock.advance(nanoseconds: 200_000)
    #expect(second.line.isAsserted)
  }

  @Test func whatNoTimerCanBeIsTaken() {
    for seed in 0..<500 as Range<UInt64> {
      var random = Interleaving.Generator(seed)
      var state = IntervalTimerState()
      for index in 0..<3 {
        state.counters[index].control = .random(in: 0...255, using: &random)
        state.counters[index].gate = .random(using: &random)
        state.counters[index].isCounting = .random(using: &random)
        state.counters[index].count = .random(in: 0 ... .max, using: &random)
        state.counters[index].elapsed = .random(in: .min ... .max, using: &random)
        state.counters[index].isHeld = .random(using: &random)
        state.counters[index].nextCount = .random(in: 0 ... .max, using: &random)
        state.counters[index].nextAge = .random(in: 0 ... .max, using: &random)
      }
      state.control = .random(in: 0...255, using: &random)
      let rig = Rig(ManualClock())
      rig.timer.savedState = state
      _ = rig.look()
      for _ in 0..<10 { rig.clock.advance(nanoseconds: 10_000_000) }
      _ = rig.timer.savedState
    }
  }
}
