public import DeviceModel
import Synchronization

/// A PC's interval timer: an 8254, and the port that gates and shows its third counter.
///
/// Region 0 of the bus is its four ports, at 0x40 by custom, and region 1 the system control port
/// B, at 0x61 (ICH9, 13.7.1, NMI_SC). The first counter's output is the interrupt; the second's goes
/// nowhere. A timer of the clock runs only while that interrupt is to come.
///
/// Periods that went by while the host was late are one interrupt. Periodic interrupts come no more
/// often than every ``shortestPeriod``, so that a guest cannot keep the host busy with them. Any
/// thread may call.
public final class IntervalTimer: BusDevice {
  /// How many ports its first region claims.
  public static var size: UInt64 { 4 }
  /// How many ports its second region claims.
  public static var controlSize: UInt64 { 1 }
  /// The chip's clock, in hertz.
  public static var frequency: UInt64 { 1_193_182 }
  /// The least time between two periodic interrupts, in nanoseconds.
  public static var shortestPeriod: UInt64 { 50_000 }

  private struct State {
    var counters: InlineArray<3, PITCounter> = [
      PITCounter(gate: true), PITCounter(gate: true), PITCounter(gate: false),
    ]
    /// Bits 0 to 3 of port B: the third counter's gate, the speaker, and two that do nothing here.
    var control: UInt8 = 0
    /// The level that the line was last set to.
    var lineLevel = false
    /// What the timer is armed for, if it is.
    var armed: UInt64?
    /// When the timer last expired.
    var expired: UInt64 = 0
  }

  private let clock: any DeviceClock
  private let timer: any DeviceTimer
  private let line: any InterruptLine
  // Held over calls to the line and the timer, neither of which calls back, so that the last
  // change wins. Lock order: this before the line's and the clock's.
  private let state = Mutex(State())

  /// Makes a timer that counts nothing yet.
  ///
  /// - Parameters:
  ///   - line: The first counter's output; on a PC, IRQ 0.
  ///   - clock: The time.
  public init(line: any InterruptLine, clock: any DeviceClock) {
    self.line = line
    self.clock = clock
    timer = clock.makeTimer()
    timer.whenExpired { [weak self] in
      guard let self else { return }
      update { state, now in
        state.armed = nil
        state.expired = now
      }
    }
  }

  /// Reads a counter, its latch or its status, or port B; the control port reads as 0.
  public func read(_ access: BusAccess) -> UInt64 {
    access.readBytes { offset in
      state.withLock { state in
        let now = clock.monotonic
        let tick = Self.tick(at: now)
        switch (access.region, offset) {
        case (0, 0...2):
          state.counters[Int(offset)].advance(to: tick)
          return state.counters[Int(offset)].readByte(at: tick)
        case (1, 0):
          state.counters[2].advance(to: tick)
          // Bit 4 changes with each refresh of the memory, every 15 us; bit 5 is OUT.
          let refresh: UInt8 = now / 15_085 % 2 == 0 ? 0 : 0x10
          return state.control | refresh | (state.counters[2].output(at: tick) ? 0x20 : 0)
        default: return 0
        }
      }
    }
  }

  /// Writes a counter, the control port or port B.
  public func write(_ value: UInt64, _ access: BusAccess) {
    access.writeBytes(value) { offset, byte in
      switch (access.region, offset) {
      case (0, 0...2):
        update { state, now in state.counters[Int(offset)].writeByte(byte, at: Self.tick(at: now)) }
      case (0, 3): update { state, now in Self.command(byte, &state, at: Self.tick(at: now)) }
      case (1, 0):
        update { state, now in
          state.control = byte & 0x0F
          state.counters[2].set(gate: byte & 1 != 0, at: Self.tick(at: now))
        }
      default: break
      }
    }
  }

  /// All it remembers, to be saved and put back; any thread.
  ///
  /// Putting it back sets the line to the saved level, which is no edge where the controller has it already:
  /// the timer comes before the controllers. Ticks do not pass between saving and putting back.
  public var savedState: IntervalTimerState {
    get {
      state.withLock { state in
        let tick = Self.tick(at: clock.monotonic)
        for index in 0..<3 { state.counters[index].advance(to: tick) }
        // An edge that is due goes out first, so that it is the controller's to save.
        setLine(&state, tick)
        arm(&state, tick)
        var saved = IntervalTimerState()
        saved.counters = (0..<3).map { state.counters[$0].state(at: tick) }
        saved.control = state.control
        saved.lineLevel = state.lineLevel
        return saved
      }
    }
    set {
      state.withLock { state in
        let now = clock.monotonic
        let tick = Self.tick(at: now)
        for (index, counter) in newValue.counters.prefix(3).enumerated() {
          var counter = counter
          if index == 2 { counter.gate = newValue.control & 1 != 0 }
          state.counters[index] = PITCounter(counter, at: tick)
        }
        state.control = newValue.control & 0x0F
        state.lineLevel = newValue.lineLevel
        state.expired = 0
        if newValue.lineLevel { line.assert() } else { line.deassert() }
        arm(&state, tick)
      }
    }
  }

  /// A control word, or a command to latch (8254, figures 7, 9 and 11).
  private static func command(_ word: UInt8, _ state: inout State, at tick: UInt64) {
    let index = Int(word >> 6)
    guard index < 3 else {
      // The read-back command; a bit that is 0 latches.
      for index in 0..<3 where word >> UInt8(index + 1) & 1 != 0 {
        if word & 0x20 == 0 { state.counters[index].latchCount(at: tick) }
        if word & 0x10 == 0 { state.counters[index].latchStatus(at: tick) }
      }
      return
    }
    if word & 0x30 == 0 {
      state.counters[index].latchCount(at: tick)
    } else {
      state.counters[index].program(word, at: tick)
    }
  }

  /// Changes the counters, and then the line and the timer with them.
  private func update(_ body: (inout State, UInt64) -> Void) {
    state.withLock { state in
      let now = clock.monotonic
      let tick = Self.tick(at: now)
      for index in 0..<3 { state.counters[index].advance(to: tick) }
      body(&state, now)
      setLine(&state, tick)
      arm(&state, tick)
    }
  }

  private func setLine(_ state: inout State, _ tick: UInt64) {
    let hasRisen = state.counters[0].hasRisen
    state.counters[0].hasRisen = false
    if hasRisen, state.lineLevel { line.deassert() }
    // If the host is late the output may have fallen again. It shows as high until the next event
    // all the same: an interrupt controller may forget an edge that falls at once.
    let level = hasRisen || state.counters[0].output(at: tick)
    guard hasRisen || level != state.lineLevel else { return }
    state.lineLevel = level
    if level { line.assert() } else { line.deassert() }
  }

  private func arm(_ state: inout State, _ tick: UInt64) {
    var deadline = state.counters[0].event(after: tick).map(Self.nanosecond(ofTick:))
    if state.counters[0].mode.isPeriodic {
      deadline = deadline.map { max($0, state.expired &+ Self.shortestPeriod) }
    }
    guard deadline != state.armed else { return }
    state.armed = deadline
    if let deadline { timer.arm(at: deadline) } else { timer.disarm() }
  }

  /// How many ticks of the chip's clock have passed.
  private static func tick(at nanoseconds: UInt64) -> UInt64 {
    let seconds = nanoseconds / 1_000_000_000
    return seconds &* frequency &+ nanoseconds % 1_000_000_000 * frequency / 1_000_000_000
  }

  /// The first nanosecond at which the chip's clock shows `tick`.
  private static func nanosecond(ofTick tick: UInt64) -> UInt64 {
    let rest = (tick % frequency * 1_000_000_000 + frequency - 1) / frequency
    return tick / frequency &* 1_000_000_000 &+ rest
  }
}
