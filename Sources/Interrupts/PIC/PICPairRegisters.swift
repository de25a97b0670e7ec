/// Both 8259As, wired as in a PC, with no ties to the outside.
struct PICPairRegisters {
  /// An interrupt that is to end once those at its pin have been told.
  struct Ending {
    var isSecondary: Bool
    var end: PICChip.Ending

    var pin: Int { Int(end.input) + (isSecondary ? 8 : 0) }
  }

  // ELCR cannot make inputs 0, 1, 2, 8 and 13 work by level (ICH9, 13.4.10 and 13.4.11).
  private var primary = PICChip(selectable: 0xF8, cascade: 1 << 2)
  private var secondary = PICChip(selectable: 0xDE, cascade: 0)
  private var levels: UInt16 = 0
  private var counters = InlineArray<16, PICPin.Counters>(repeating: PICPin.Counters())
  private(set) var spurious: UInt64 = 0

  /// Called with the output's new level.
  var outputAction: (@Sendable (Bool) -> Void)?
  /// The output's level of which that has been told, or is just being.
  private var toldOutput = false
  private var isTelling = false

  /// INTR.
  var output: Bool { primary.requested != nil }

  /// Takes note of the levels at the pins.
  mutating func see(_ newLevels: UInt32) {
    // Pin 2 is the second chip's.
    let newLevels = UInt16(truncatingIfNeeded: newLevels) & ~(1 << 2)
    let rising = newLevels & ~levels
    levels = newLevels
    let withdrawn = UInt16(secondary.see(UInt8(newLevels >> 8))) << 8 | UInt16(seePrimary())
    guard rising | withdrawn != 0 else { return }
    for pin in 0..<16 {
      if rising >> UInt16(pin) & 1 != 0 { counters[pin].raised &+= 1 }
      if withdrawn >> UInt16(pin) & 1 != 0 { counters[pin].withdrawn &+= 1 }
    }
  }

  private mutating func seePrimary() -> UInt8 {
    primary.see(UInt8(truncatingIfNeeded: levels) | (secondary.requested != nil ? 1 << 2 : 0))
  }

  /// Takes the second chip's output to the first, after either has changed.
  mutating func connect() { _ = seePrimary() }

  // MARK: Acknowledging

  /// The two INTA cycles (8259A, "interrupt sequence").
  ///
  /// - Parameter newest: The levels at the second cycle, by which the second chip goes.
  /// - Returns: The vector, and what is to end at once.
  mutating func acknowledge(newest: () -> UInt32) -> (vector: UInt8, ending: Ending?) {
    guard let input = primary.requested else {
      // A request that went away is answered with input 7, which is not in service then.
      spurious &+= 1
      return (primary.state.vectorBase | 7, nil)
    }
    let ending = take(input, isSecondary: false, primary.acknowledge(input))
    guard input == 2 else { return (primary.state.vectorBase | input, ending) }
    see(newest())
    guard let input = secondary.requested else {
      // The first chip's input 2 is in service all the same.
      spurious &+= 1
      return (secondary.state.vectorBase | 7, nil)
    }
    let second = take(input, isSecondary: true, secondary.acknowledge(input))
    return (secondary.state.vectorBase | input, second)
  }

  /// Counts an interrupt that was taken, and sees to its end if it ends at once.
  private mutating func take(
    _ input: UInt8,
    isSecondary: Bool,
    _ end: PICChip.Ending?
  ) -> Ending? {
    counters[Int(input) + (isSecondary ? 8 : 0)].delivered &+= 1
    return end.flatMap { begin($0, isSecondary: isSecondary) }
  }

  /// Counts an interrupt that is to end; that of pin 2 ends here, since nobody is there to be told.
  private mutating func begin(_ end: PICChip.Ending, isSecondary: Bool) -> Ending? {
    let ending = Ending(isSecondary: isSecondary, end: end)
    counters[ending.pin].ended &+= 1
    guard ending.pin == 2 else { return ending }
    primary.finish(end)
    return nil
  }

  /// Takes what was to end out of service.
  mutating func finish(_ ending: Ending) {
    if ending.isSecondary { secondary.finish(ending.end) } else { primary.finish(ending.end) }
  }

  // MARK: Registers

  mutating func read(isSecondary: Bool, port: UInt64) -> (value: UInt8, ending: Ending?) {
    let (value, end, taken) = isSecondary ? secondary.read(port) : primary.read(port)
    guard let taken else { return (value, nil) }
    return (value, take(taken, isSecondary: isSecondary, end))
  }

  mutating func write(_ value: UInt8, isSecondary: Bool, port: UInt64) -> Ending? {
    let end = isSecondary ? secondary.write(value, port) : primary.write(value, port)
    return end.flatMap { begin($0, isSecondary: isSecondary) }
  }

  func levelTriggered(isSecondary: Bool) -> UInt8 {
    isSecondary ? secondary.state.levelTriggered : primary.state.levelTriggered
  }

  mutating func select(levels: UInt8, isSecondary: Bool) {
    if isSecondary { secondary.select(levels: levels) } else { primary.select(levels: levels) }
  }

  // MARK: Output

  /// What is to be told of the output, if something is and nobody is telling yet.
  mutating func beginTelling() -> (action: @Sendable (Bool) -> Void, output: Bool)? {
    guard !isTelling, output != toldOutput else { return nil }
    toldOutput = output
    guard let outputAction else { return nil }
    isTelling = true
    return (outputAction, toldOutput)
  }

  /// What is to be told next, by who has just told; `nil` once all is.
  mutating func continueTelling() -> Bool? {
    guard output != toldOutput else {
      isTelling = false
      return nil
    }
    toldOutput = output
    return toldOutput
  }

  // MARK: State

  var state: PICPairState {
    get {
      var state = PICPairState()
      state.primary = primary.state
      state.secondary = secondary.state
      state.levels = levels
      return state
    }
    set {
      levels = newValue.levels & ~(1 << 2)
      secondary.restore(newValue.secondary, lines: UInt8(levels >> 8))
      primary.restore(newValue.primary, lines: UInt8(truncatingIfNeeded: levels))
    }
  }

  func pin(_ pin: Int) -> PICPin {
    let chip = pin < 8 ? primary : secondary
    let bit: UInt8 = 1 << UInt8(pin & 7)
    return PICPin(
      vector: chip.state.vectorBase | UInt8(pin & 7),
      isAsserted: chip.lines & bit != 0,
      isRequested: chip.requests & bit != 0,
      isInService: chip.state.inService & bit != 0,
      isMasked: chip.state.mask & bit != 0,
      isLevelTriggered: chip.state.levelTriggered & bit != 0,
      counters: counters[pin]
    )
  }
}
