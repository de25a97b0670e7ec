/// One of the three counters of an 8254, with no ties to the outside (Intel 8254 data sheet, "mode definitions").
///
/// Nothing counts: value and output are worked out from the time when somebody looks. Time is in
/// ticks of the chip's clock, from an arbitrary start.
struct PITCounter {
  enum Mode {
    case interruptOnTerminalCount
    case oneShot
    case rateGenerator
    case squareWave
    case softwareStrobe
    case hardwareStrobe

    /// Modes 6 and 7 are 2 and 3 (8254, figure 7).
    init(control: UInt8) {
      switch control >> 1 & 7 {
      case 0: self = .interruptOnTerminalCount
      case 1: self = .oneShot
      case 2, 6: self = .rateGenerator
      case 3, 7: self = .squareWave
      case 4: self = .softwareStrobe
      default: self = .hardwareStrobe
      }
    }

    var isPeriodic: Bool { self == .rateGenerator || self == .squareWave }
    /// Whether counting starts with a rise of the gate.
    var isTriggered: Bool { self == .oneShot || self == .hardwareStrobe }
  }

  /// The low six bits of the control word: how bytes come, the mode, and BCD.
  var control: UInt8 = 0x30
  var mode = Mode.interruptOnTerminalCount
  var gate: Bool

  // MARK: The counting element

  /// Whether a count has been loaded, or will be at ``base``.
  var isCounting = false
  /// What the element shows while it does not count.
  var shown: UInt64 = 0
  /// The count, 1 to 65536, and the tick at which the element was or will be loaded with it.
  var count: UInt64 = 1
  var base: UInt64 = 0
  /// How many ticks had been counted when the gate fell.
  var held: UInt64?
  /// Whether the square wave started low at ``base``.
  var startsLow = false
  /// The output of a one-shot until ``base``.
  var outputBefore = true

  /// A count that is to be loaded later, and when it was written.
  var next: (count: UInt64, written: UInt64)?
  /// Whether no count has been written since the control word.
  var awaitsCount = true
  /// Up to which tick the output is worked out.
  var seen: UInt64 = 0
  /// Whether the output has risen since this was cleared.
  var hasRisen = false

  // MARK: Access

  /// The low byte of a count whose high byte is to come.
  var writtenLow: UInt8?
  /// Whether the next byte that is read is the high one.
  var readsHigh = false
  var latchedCount: UInt16?
  var latchedStatus: UInt8?

  init(gate: Bool) { self.gate = gate }

  private var isBCD: Bool { control & 1 != 0 }
  var modulus: UInt64 { isBCD ? 10_000 : 65_536 }

  private func elapsed(at now: UInt64) -> UInt64 { held ?? (now > base ? now - base : 0) }

  private func isLoaded(at now: UInt64) -> Bool { isCounting && (held != nil || now >= base) }

  // MARK: Programming

  /// A control word: counting stops until a count is written.
  mutating func program(_ word: UInt8, at now: UInt64) {
    shown = value(at: now)
    control = word & 0x3F
    mode = Mode(control: word)
    isCounting = false
    held = nil
    next = nil
    awaitsCount = true
    writtenLow = nil
    readsHigh = false
    latchedCount = nil
    latchedStatus = nil
  }

  /// Stops a mode 0 count whose first byte of two has been written: the output is low at once (8254, "mode 0").
  mutating func stop(at now: UInt64) {
    guard mode == .interruptOnTerminalCount else { return }
    shown = value(at: now)
    isCounting = false
  }

  /// Takes a new count.
  mutating func write(count written: UInt16, at now: UInt64) {
    var count = UInt64(written)
    if isBCD {
      count = (0..<4).reduce(0) { sum, digit in
        sum * 10 + UInt64(written >> UInt16(12 - 4 * digit) & 0xF)
      }
    }
    // 0 is the largest count there is (8254, "minimum and maximum initial counts"). 1 is illegal in
    // modes 2 and 3, and is taken for 2.
    if count == 0 { count = modulus }
    if mode.isPeriodic { count = max(count, 2) }
    awaitsCount = false
    if mode.isTriggered || mode.isPeriodic && isCounting && (held != nil || now >= base) {
      // Loaded by the next trigger, or at the end of the cycle.
      next = (count, now)
    } else {
      load(count, at: now)
    }
  }

  /// Loads the element with the next tick.
  private mutating func load(_ count: UInt64, at now: UInt64) {
    outputBefore = output(at: now)
    self.count = count
    base = now &+ 1
    startsLow = false
    isCounting = true
    next = nil
    held = gate || mode.isTriggered ? nil : 0
  }

  /// The gate's new level (8254, figure 21, "gate pin operations").
  mutating func set(gate newGate: Bool, at now: UInt64) {
    guard gate != newGate else { return }
    gate = newGate
    if mode.isTriggered {
      if gate, !awaitsCount { load(next?.count ?? count, at: now) }
    } else if isCounting {
      if !gate {
        held = elapsed(at: now)
      } else if mode.isPeriodic {
        load(next?.count ?? count, at: now)
      } else {
        base = now &- (held ?? 0)
        held = nil
      }
    }
  }

  // MARK: Time

  /// Brings the output up to now.
  mutating func advance(to now: UInt64) {
    if let next, mode.isPeriodic, isCounting, held == nil {
      // Loaded at the end of the cycle or, of a square wave, of its half (8254, "mode 2", "mode 3").
      let boundary = boundary(after: next.written)
      if now >= boundary {
        noteRise(until: boundary)
        startsLow = mode == .squareWave && !output(at: boundary)
        count = next.count
        base = boundary
        self.next = nil
      }
    }
    noteRise(until: now)
  }

  private mutating func noteRise(until now: UInt64) {
    defer { seen = now }
    guard isCounting, held == nil else { return }
    if rises(until: now) > rises(until: seen) { hasRisen = true }
  }

  /// How often the output has risen by itself, from ``base`` on.
  private func rises(until now: UInt64) -> UInt64 {
    let elapsed = elapsed(at: now)
    let first: UInt64
    switch mode {
    case .interruptOnTerminalCount, .oneShot, .rateGenerator: first = count
    case .squareWave: first = startsLow ? count / 2 : count
    case .softwareStrobe, .hardwareStrobe: first = count + 1
    }
    guard elapsed >= first else { return 0 }
    return mode.isPeriodic ? (elapsed - first) / count + 1 : 1
  }

  /// The next end of a cycle or, of a square wave, of its half.
  private func boundary(after now: UInt64) -> UInt64 {
    let elapsed = elapsed(at: now)
    let position = max(now, base)
    guard mode == .squareWave else { return position &+ (count - elapsed % count) }
    let half = half(at: elapsed)
    return position &+ (half.length - half.position)
  }

  /// When the output next does what an edge-triggered input must be told of; `nil` if never.
  ///
  /// The tick for which the output of modes 2 and 4 is low is no event of its own: the rise after it is.
  func event(after now: UInt64) -> UInt64? {
    guard isCounting, held == nil else { return nil }
    switch mode {
    case .rateGenerator, .squareWave: return boundary(after: now)
    case .interruptOnTerminalCount, .oneShot: return later(base &+ count, than: now)
    case .softwareStrobe, .hardwareStrobe: return later(base &+ count &+ 1, than: now)
    }
  }

  private func later(_ moment: UInt64, than now: UInt64) -> UInt64? { moment > now ? moment : nil }

  /// The half of the square wave: high for one tick more than low if the count is odd.
  private func half(at elapsed: UInt64) -> (isHigh: Bool, position: UInt64, length: UInt64) {
    let high = (count + 1) / 2
    let low = count / 2
    let first = startsLow ? low : high
    let position = elapsed % count
    guard position >= first else { return (!startsLow, position, first) }
    return (startsLow, position - first, count - first)
  }

  // MARK: What shows

  /// OUT.
  func output(at now: UInt64) -> Bool {
    guard isLoaded(at: now) else {
      if isCounting, mode == .oneShot { return outputBefore }
      return mode != .interruptOnTerminalCount
    }
    let elapsed = elapsed(at: now)
    switch mode {
    case .interruptOnTerminalCount, .oneShot: return elapsed >= count
    // With the gate low the output of the periodic modes is high.
    case .rateGenerator: return held != nil || elapsed % count != count - 1
    case .squareWave: return held != nil || half(at: elapsed).isHigh
    case .softwareStrobe, .hardwareStrobe: return elapsed != count
    }
  }

  func value(at now: UInt64) -> UInt64 {
    guard isCounting else { return shown }
    let elapsed = elapsed(at: now)
    switch mode {
    case .rateGenerator: return (count - elapsed % count) % modulus
    // An odd count is loaded less one, and all count by two (8254, "mode 3").
    case .squareWave: return ((count & ~1) - 2 * half(at: elapsed).position) % modulus
    // All others go on from the top after zero.
    default: return (count + modulus * 2 - elapsed % modulus) % modulus
    }
  }

  /// What the two bytes of the count read as.
  func countRegister(at now: UInt64) -> UInt16 {
    let value = value(at: now)
    guard isBCD else { return UInt16(truncatingIfNeeded: value) }
    var digits: UInt64 = 0
    var rest = value
    for shift: UInt64 in [0, 4, 8, 12] {
      digits |= (rest % 10) << shift
      rest /= 10
    }
    return UInt16(truncatingIfNeeded: digits)
  }

  /// The status byte (8254, figure 12): the output, whether a count waits to be loaded, the control word.
  func status(at now: UInt64) -> UInt8 {
    let isNull = awaitsCount || next != nil || !isLoaded(at: now)
    return (output(at: now) ? 0x80 : 0) | (isNull ? 0x40 : 0) | control
  }
}
