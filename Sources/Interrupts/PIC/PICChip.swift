/// One 8259A with no ties to the outside: its inputs, its registers and its priorities.
struct PICChip {
  /// What it remembers.
  private(set) var state = PICState()
  /// The levels at its inputs.
  private(set) var lines: UInt8 = 0
  /// Inputs whose interrupt is being ended: those who must be told are, before it is.
  private var ending: UInt8 = 0
  /// How often it has been initialised; what was in service before is no more.
  private var initializations: UInt64 = 0

  /// Inputs that ELCR can make work by level.
  private let selectable: UInt8
  /// The input to which the other chip's output goes; none on the second.
  private let cascade: UInt8

  /// An interrupt that is to end.
  struct Ending {
    /// The input.
    var input: UInt8
    /// Whether it gets the lowest priority.
    var rotates: Bool
    fileprivate var initialization: UInt64
  }

  init(selectable: UInt8, cascade: UInt8) {
    self.selectable = selectable
    self.cascade = cascade
  }

  // MARK: Inputs

  /// Takes note of the levels at its inputs.
  ///
  /// - Returns: Edges that fell before they were acknowledged.
  mutating func see(_ newLines: UInt8) -> UInt8 {
    let rising = newLines & ~lines
    lines = newLines
    // An edge must stay high until it is acknowledged (8259A, "edge and level triggered modes").
    let held = newLines | state.latchedEdges
    let withdrawn = state.edges & ~held
    state.edges = (state.edges | rising & ~state.levelTriggered & ~cascade) & held
    return withdrawn
  }

  /// IRR; the second chip's output falls whenever it is acknowledged, so each of its requests is an
  /// edge of its own, which is as good as a level.
  var requests: UInt8 { state.edges | lines & (state.levelTriggered | cascade) }

  /// The bits in the order of priority, the highest at bit 0.
  private func ranked(_ bits: UInt8) -> UInt8 {
    let shift = (state.lowestPriority &+ 1) & 7
    return bits &>> shift | bits &<< ((8 &- shift) & 7)
  }

  private func input(ofRank rank: Int) -> UInt8 {
    UInt8(truncatingIfNeeded: rank &+ Int(state.lowestPriority) &+ 1) & 7
  }

  /// The input that the chip requests service for, if it does (8259A, "fully nested mode").
  var requested: UInt8? {
    guard state.sequence == .done else { return nil }
    let requests = requests & ~state.mask
    guard requests != 0 else { return nil }
    // In special mask mode what is in service and masked locks out nobody (8259A, "special mask mode").
    let inService = state.masksSpecially ? state.inService & ~state.mask : state.inService
    let rank = ranked(requests).trailingZeroBitCount
    let limit = ranked(inService).trailingZeroBitCount
    let input = input(ofRank: rank)
    if rank < limit { return input }
    // The second chip asks again only for what is more urgent than what it has in service, and is
    // let through in special fully nested mode (8259A, "the special fully nested mode").
    let isNested = rank == limit && state.nestsSpecially && cascade & 1 << input != 0
    return isNested ? input : nil
  }

  /// Acknowledges `input`: INTA, or a poll.
  ///
  /// - Returns: What is to end at once, if interrupts do.
  mutating func acknowledge(_ input: UInt8) -> Ending? {
    let bit: UInt8 = 1 << input
    state.edges &= ~bit
    state.latchedEdges &= ~bit
    state.inService |= bit
    guard state.endsAutomatically else { return nil }
    return end(input, rotates: state.rotatesAutomatically)
  }

  // MARK: Ends

  private mutating func end(_ input: UInt8, rotates: Bool) -> Ending? {
    let bit: UInt8 = 1 << input
    guard state.inService & ~ending & bit != 0 else {
      if rotates { state.lowestPriority = input }
      return nil
    }
    ending |= bit
    return Ending(input: input, rotates: rotates, initialization: initializations)
  }

  /// Ends the most urgent interrupt; one that is masked only if special mask mode is off (8259A,
  /// "end of interrupt").
  private mutating func endMostUrgent(rotates: Bool) -> Ending? {
    var inService = state.inService & ~ending
    if state.masksSpecially { inService &= ~state.mask }
    guard inService != 0 else { return nil }
    return end(input(ofRank: ranked(inService).trailingZeroBitCount), rotates: rotates)
  }

  /// Takes what was to end out of service.
  mutating func finish(_ end: Ending) {
    guard end.initialization == initializations else { return }
    state.inService &= ~(1 << end.input)
    ending &= ~(1 << end.input)
    if end.rotates { state.lowestPriority = end.input }
  }

  // MARK: Registers

  /// Reads a port: the even one is 0.
  mutating func read(_ port: UInt64) -> (value: UInt8, ending: Ending?, taken: UInt8?) {
    if state.polls {
      // The read after a poll command acknowledges, at either port (8259A, "poll command").
      state.polls = false
      guard let input = requested else { return (0x07, nil, nil) }
      return (0x80 | input, acknowledge(input), input)
    }
    if port & 1 == 1 { return (state.mask, nil, nil) }
    return (state.readsInService ? state.inService : requests, nil, nil)
  }

  /// Writes a port: the even one is 0.
  ///
  /// - Returns: What is to end.
  mutating func write(_ value: UInt8, _ port: UInt64) -> Ending? {
    if port & 1 == 1 {
      writeOdd(value)
    } else if value & 0x10 != 0 {
      initialize(value)
    } else if value & 0x08 != 0 {
      writeThirdCommand(value)
    } else {
      return writeSecondCommand(value)
    }
    return nil
  }

  /// ICW1 (8259A, "initialization command words 1 and 2"): all is as after reset, save ELCR.
  ///
  /// Its bit 3 is ELCR's business in a PC (ICH9, 13.4.2).
  private mutating func initialize(_ value: UInt8) {
    var fresh = PICState()
    fresh.levelTriggered = state.levelTriggered
    // The vectors are of the previous initialisation until ICW2.
    fresh.vectorBase = state.vectorBase
    fresh.sequence = .vector
    fresh.firstWord = value
    state = fresh
    ending = 0
    initializations &+= 1
  }

  private mutating func writeOdd(_ value: UInt8) {
    let needsFourth = state.firstWord & 0x01 != 0
    switch state.sequence {
    case .vector:
      state.vectorBase = value & 0xF8
      // A single chip has no ICW3 (8259A, figure 6).
      let isSingle = state.firstWord & 0x02 != 0
      state.sequence = isSingle ? (needsFourth ? .mode : .done) : .cascade
    case .cascade:
      // How the chips are connected is the board's: 4 in the first, 2 in the second (ICH9, 13.4.4).
      state.sequence = needsFourth ? .mode : .done
    case .mode:
      state.endsAutomatically = value & 0x02 != 0
      state.nestsSpecially = value & 0x10 != 0
      state.sequence = .done
    case .never, .done: state.mask = value
    }
  }

  /// OCW2 (8259A, figure 8, "operation command word 2").
  private mutating func writeSecondCommand(_ value: UInt8) -> Ending? {
    let input = value & 7
    switch value >> 5 {
    case 0b000: state.rotatesAutomatically = false
    case 0b100: state.rotatesAutomatically = true
    case 0b001: return endMostUrgent(rotates: false)
    case 0b101: return endMostUrgent(rotates: true)
    case 0b011: return end(input, rotates: false)
    case 0b111: return end(input, rotates: true)
    case 0b110: state.lowestPriority = input
    default: break  // 010 does nothing.
    }
    return nil
  }

  /// OCW3 (8259A, figure 8, "operation command word 3").
  private mutating func writeThirdCommand(_ value: UInt8) {
    if value & 0x40 != 0 { state.masksSpecially = value & 0x20 != 0 }
    if value & 0x02 != 0 { state.readsInService = value & 0x01 != 0 }
    if value & 0x04 != 0 { state.polls = true }
  }

  /// ELCR (ICH9, 13.4.10).
  mutating func select(levels: UInt8) {
    state.levelTriggered = levels & selectable
    state.edges &= ~state.levelTriggered
    state.latchedEdges &= state.edges
  }

  /// Puts a saved state back.
  mutating func restore(_ saved: PICState, lines: UInt8) {
    state = saved.possible
    self.lines = lines
    select(levels: state.levelTriggered)
    state.edges &= (lines | state.latchedEdges) & ~cascade
    state.latchedEdges &= state.edges
    ending = 0
    initializations &+= 1
  }
}
