import DeviceModel

/// The registers of an I/O APIC and what becomes of interrupts in them, with no ties to the outside.
///
/// A word with one bit a pin answers "what is due" for all pins at once.
struct IOAPICRegisters {
  static var pinCount: Int { 24 }
  private static var everyPin: UInt32 { 1 << UInt32(pinCount) - 1 }

  /// A message on its way to the processors.
  struct Sending {
    var pin: Int
    var message: InterruptMessage
    /// Which of the pin's messages it is.
    var serial: UInt32
    /// Whether other pins have messages to send.
    var hasMore: Bool
  }

  /// Interrupts that the guest has ended and that are still to be cleared.
  struct Ending {
    /// One bit a pin.
    var pins: UInt32
    /// Which message of each pin it was.
    var serials: InlineArray<24, UInt32>
  }

  var index: UInt8 = 0
  private var id: UInt8
  private var arbitrationID: UInt8
  private var entries = InlineArray<24, RedirectionEntry>(repeating: .reset)
  private var counters = InlineArray<24, IOAPICPin.Counters>(repeating: IOAPICPin.Counters())

  // What the entries say, one bit a pin.
  private var masked = everyPin
  private var levelTriggered: UInt32 = 0
  private var deliverable = everyPin

  /// The levels last seen.
  private var levels: UInt32 = 0
  private var remoteIRR: UInt32 = 0
  /// Edges that wait to be sent.
  private var pending: UInt32 = 0
  /// How many messages each pin has sent.
  private var serials = InlineArray<24, UInt32>(repeating: 0)
  /// What each pin sent last.
  private var sent = InlineArray<24, InterruptMessage?>(repeating: nil)

  /// Told of every change to a message, before the message is sent.
  var redirectionAction: (@Sendable () -> Void)?
  /// Pins whose message has changed and not been told.
  private var untold: UInt32 = 0
  /// Counts the changes to messages; each pin has the number of its last one.
  private(set) var changes: UInt64 = 0
  private var changed = InlineArray<24, UInt64>(repeating: 0)

  init(id: UInt8) {
    self.id = id & 0x0F
    arbitrationID = id & 0x0F
  }

  /// The message that a level pin's interrupt in service was sent with, where its entry says another by now.
  func formerMessage(of pin: Int) -> InterruptMessage? {
    guard remoteIRR & Self.bit(pin) != 0, sent[pin] != entries[pin].message else { return nil }
    return sent[pin]
  }

  private static func bit(_ pin: Int) -> UInt32 { 1 << UInt32(truncatingIfNeeded: pin) }

  // MARK: Registers

  /// The register that IOREGSEL selects (82093AA, 3.2); beyond the table, 0.
  var selected: UInt32 {
    switch index {
    case 0x00: return UInt32(id) << 24
    // Version 0x20 is the first to have an EOI register; bits 23:16 are the last entry (ICH9, 13.5.6).
    case 0x01: return UInt32(Self.pinCount - 1) << 16 | 0x20
    case 0x02: return UInt32(arbitrationID) << 24
    case 0x10..<0x40:
      let entry = entry(Int(index - 0x10) / 2).rawValue
      return UInt32(truncatingIfNeeded: index & 1 == 0 ? entry : entry >> 32)
    default: return 0
    }
  }

  /// Writes the register that IOREGSEL selects.
  mutating func writeSelected(_ value: UInt32) {
    switch index {
    case 0x00:
      id = UInt8(truncatingIfNeeded: value >> 24) & 0x0F
      // The arbitration ID is loaded whenever the ID is (82093AA, 3.2.3).
      arbitrationID = id
    case 0x10..<0x40:
      let pin = Int(index - 0x10) / 2
      setEntry(pin, to: entries[pin].replacing(half: Int(index & 1), with: value))
    default: break  // Version and arbitration ID are read-only.
    }
  }

  /// The entry as the guest reads it.
  func entry(_ pin: Int) -> RedirectionEntry {
    let bit = Self.bit(pin)
    return entries[pin].showing(
      sendPending: waiting & ~masked & bit != 0,
      remoteIRR: remoteIRR & bit != 0
    )
  }

  private mutating func setEntry(_ pin: Int, to entry: RedirectionEntry) {
    let bit = Self.bit(pin)
    let before = entries[pin].message
    let message = entry.message
    entries[pin] = entry
    masked = entry.isMasked ? masked | bit : masked & ~bit
    deliverable = message != nil ? deliverable | bit : deliverable & ~bit
    if entry.isLevelTriggered {
      levelTriggered |= bit
      pending &= ~bit
    } else {
      // Remote IRR has no meaning for an edge (82093AA, 3.2.4, bit 14). To make a pin an edge for a
      // moment is how software ends its interrupt where there is no EOI register.
      levelTriggered &= ~bit
      remoteIRR &= ~bit
    }
    if message == nil { pending &= ~bit }
    guard before != message else { return }
    changes += 1
    changed[pin] = changes
    if redirectionAction != nil { untold |= bit }
  }

  /// All changes up to `change` have been told: what waits for that may be sent.
  mutating func didTell(_ change: UInt64) {
    for pin in 0..<Self.pinCount where changed[pin] <= change { untold &= ~Self.bit(pin) }
  }

  // MARK: Interrupts

  /// Pins with an interrupt that no processor has yet, masked or not.
  private var waiting: UInt32 { (pending | levels & levelTriggered & ~remoteIRR) & deliverable }

  /// Takes note of the pins' levels.
  mutating func see(_ newLevels: UInt32) {
    let newLevels = newLevels & Self.everyPin
    let rising = newLevels & ~levels
    levels = newLevels
    guard rising != 0 else { return }
    let edges = rising & ~levelTriggered
    // An edge on a masked pin is neither delivered nor held pending (82093AA, 3.2.4, bit 16).
    let taken = edges & ~masked & deliverable
    for pin in BitIndices(rising) {
      let bit = Self.bit(pin)
      counters[pin].raised &+= 1
      if edges & ~taken & bit != 0 { counters[pin].ignored &+= 1 }
      if taken & pending & bit != 0 { counters[pin].coalesced &+= 1 }
    }
    pending |= taken
  }

  /// The next message to send, of a pin that is not in `tried`; it counts as sent from here on.
  mutating func takeMessage(tried: inout UInt32) -> Sending? {
    let due = waiting & ~masked & ~untold & ~tried
    guard due != 0 else { return nil }
    let pin = due.trailingZeroBitCount
    let bit = Self.bit(pin)
    tried |= bit
    guard let message = entries[pin].message else { return nil }
    pending &= ~bit
    // Set when a processor accepts the message (82093AA, 3.2.4, bit 14). That is so until
    // `settle` hears otherwise: the guest may end the interrupt before the sender is back.
    remoteIRR |= levelTriggered & bit
    sent[pin] = message
    serials[pin] &+= 1
    counters[pin].delivered &+= 1
    return Sending(pin: pin, message: message, serial: serials[pin], hasMore: due & ~bit != 0)
  }

  /// Takes note that a message was not delivered as one of its own.
  ///
  /// - Returns: Whether the pin has become due again meanwhile.
  mutating func settle(_ sending: Sending, _ outcome: InterruptDelivery) -> Bool {
    let pin = sending.pin
    switch outcome {
    case .delivered: return false
    case .coalesced:
      counters[pin].delivered &-= 1
      counters[pin].coalesced &+= 1
      return false
    case .ignored:
      counters[pin].delivered &-= 1
      counters[pin].ignored &+= 1
      // Nobody accepted it, so nobody will end it; the level waits for an entry that somebody heeds.
      guard serials[pin] == sending.serial else { return false }
      remoteIRR &= ~Self.bit(pin)
      return entries[pin].message != sending.message
    }
  }

  /// Finds what the end of an interrupt with `vector` ends: level entries with that vector whose
  /// remote IRR is set (82093AA, 3.2.4, bit 14).
  mutating func beginEnd(of vector: UInt8) -> Ending? {
    guard remoteIRR != 0 else { return nil }
    var pins: UInt32 = 0
    for pin in BitIndices(remoteIRR) {
      guard entries[pin].vector == vector else { continue }
      pins |= Self.bit(pin)
      counters[pin].ended &+= 1
    }
    return pins == 0 ? nil : Ending(pins: pins, serials: serials)
  }

  /// Clears remote IRR of what was ended, so that what is still asserted is due again.
  mutating func finishEnd(_ ending: Ending) {
    for pin in BitIndices(ending.pins) {
      // Another thread may have ended it too, and sent the next.
      if serials[pin] == ending.serials[pin] { remoteIRR &= ~Self.bit(pin) }
    }
  }

  // MARK: State

  var state: IOAPICState {
    get {
      IOAPICState(
        index: index,
        id: id,
        arbitrationID: arbitrationID,
        entries: (0..<Self.pinCount).map(entry),
        pendingEdges: pending,
        levels: levels
      )
    }
    set {
      index = newValue.index
      id = newValue.id & 0x0F
      arbitrationID = newValue.arbitrationID & 0x0F
      levels = newValue.levels & Self.everyPin
      remoteIRR = 0
      pending = 0
      for pin in 0..<Self.pinCount {
        let entry = pin < newValue.entries.count ? newValue.entries[pin] : .reset
        setEntry(pin, to: entry.writable)
        // What was on its way before is not this state's.
        serials[pin] &+= 1
        if entry.remoteIRR { remoteIRR |= levelTriggered & Self.bit(pin) }
      }
      pending = newValue.pendingEdges & deliverable & ~levelTriggered & Self.everyPin
    }
  }

  func pin(_ pin: Int) -> IOAPICPin {
    IOAPICPin(
      entry: entry(pin),
      isPending: pending & Self.bit(pin) != 0,
      isAsserted: levels & Self.bit(pin) != 0,
      counters: counters[pin]
    )
  }

  func message(of pin: Int) -> InterruptMessage? { entries[pin].message }
}
