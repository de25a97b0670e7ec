extension PITCounter {
  /// What it remembers, at tick `now`, up to which it has been brought.
  func state(at now: UInt64) -> IntervalTimerState.Counter {
    var state = IntervalTimerState.Counter()
    state.control = control
    state.gate = gate
    state.isCounting = isCounting
    state.shown = UInt16(truncatingIfNeeded: isCounting ? 0 : value(at: now))
    state.count = UInt32(truncatingIfNeeded: count)
    state.isHeld = isCounting && held != nil
    state.elapsed = Int64(clamping: held ?? 0)
    if isCounting, held == nil { state.elapsed = Int64(bitPattern: now &- base) }
    state.startsLow = startsLow
    state.outputBefore = outputBefore
    state.nextCount = next.map { UInt32(truncatingIfNeeded: $0.count) }
    state.nextAge = next.map { now &- $0.written } ?? 0
    state.awaitsCount = awaitsCount
    state.writtenLow = writtenLow
    state.readsHigh = readsHigh
    state.latchedCount = latchedCount
    state.latchedStatus = latchedStatus
    return state
  }

  /// Takes a saved state as that of tick `now`; what no counter can be is made into what one can.
  init(_ state: IntervalTimerState.Counter, at now: UInt64) {
    self.init(gate: state.gate)
    control = state.control & 0x3F
    // How bytes come is 1 to 3 in a control word: 0 is a command to latch.
    if control & 0x30 == 0 { control |= 0x30 }
    mode = Mode(control: control)
    isCounting = state.isCounting
    shown = UInt64(state.shown) % modulus
    count = possible(state.count)
    let elapsed = max(-1, state.elapsed)
    if isCounting, state.isHeld, !mode.isTriggered, !gate {
      held = UInt64(max(0, elapsed))
    } else {
      base = elapsed < 0 ? now &+ 1 : now &- min(UInt64(elapsed), now)
    }
    startsLow = state.startsLow && mode == .squareWave
    outputBefore = state.outputBefore
    if let count = state.nextCount, mode.isTriggered || mode.isPeriodic {
      next = (possible(count), now &- min(state.nextAge, now))
    }
    awaitsCount = state.awaitsCount
    writtenLow = control & 0x30 == 0x30 ? state.writtenLow : nil
    readsHigh = control & 0x30 == 0x30 && state.readsHigh
    latchedCount = state.latchedCount
    latchedStatus = state.latchedStatus
    seen = now
  }

  private func possible(_ count: UInt32) -> UInt64 {
    min(max(UInt64(count), mode.isPeriodic ? 2 : 1), modulus)
  }
}
