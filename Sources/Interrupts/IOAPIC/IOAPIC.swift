public import DeviceModel

/// An I/O APIC of 24 pins: Intel's 82093AA, with the EOI register that the 82801 (ICH) added.
///
/// It turns the levels at its pins into messages. A level is "asserted or not", so the polarity bit
/// of an entry does not invert it: a device drives its line, not a voltage, and firmware tells the guest
/// the polarity that the board would have had.
///
/// Any thread may call anything. Messages are sent, and others told, with no lock held.
public final class IOAPIC: BusDevice, InterruptController {
  /// How many pins it has.
  public static var pinCount: Int { IOAPICRegisters.pinCount }
  /// How many bytes of the address space it claims; by custom at 0xFEC0_0000.
  public static var size: UInt64 { 0x1000 }

  private let levels: PinLevels
  private let target: any MessageTarget
  private let acknowledgement: any PinAcknowledgement
  // Nothing is called while it is held.
  let registers: PlaneLock<IOAPICRegisters>

  /// Makes an I/O APIC with all its pins masked.
  ///
  /// - Parameters:
  ///   - id: Its ID, 0 to 15.
  ///   - levels: The levels at its pins: 0 to 23.
  ///   - messages: Where its messages go.
  ///   - acknowledgement: Told when the guest has ended a level interrupt.
  public init(
    id: UInt8,
    levels: PinLevels,
    messages: any MessageTarget,
    acknowledgement: any PinAcknowledgement
  ) {
    self.levels = levels
    target = messages
    self.acknowledgement = acknowledgement
    registers = PlaneLock(IOAPICRegisters(id: id))
  }

  /// Sets what is done when ``messages`` has changed; once, before the guest runs.
  ///
  /// - Parameter action: Runs on the thread that made the change, with no lock held, before any
  ///   interrupt is sent with a changed message; until it returns, an interrupt of that pin waits.
  ///   It may run on two threads at once. It reads ``messages`` under a lock of its own that it
  ///   holds until they are in force, so that the newest win.
  public func whenRedirectionChanges(_ action: @escaping @Sendable () -> Void) {
    registers.withLock { $0.redirectionAction = action }
  }

  /// Looks at the levels of its pins and sends what has become due.
  public func refresh() { send() }

  /// The guest has ended an interrupt with `vector`: a local APIC's broadcast, or the EOI register.
  public func endOfInterrupt(vector: UInt8) {
    guard let ending = registers.withLock({ $0.beginEnd(of: vector) }) else { return }
    // Remote IRR is still set: a source that is de-asserted in here cannot send the interrupt once more.
    for pin in BitIndices(ending.pins) { acknowledgement.acknowledged(.ioAPIC(pin)) }
    send(after: ending)
  }

  /// What each pin's entry sends, masked or not; `nil` where the delivery mode is reserved.
  ///
  /// A level entry's has the trigger bit, 15, and the level bit, 14, in its data. One for an
  /// ExtINT is a message too; who cannot deliver that ignores it.
  public var messages: [InterruptMessage?] {
    registers.withLock { registers in (0..<Self.pinCount).map { registers.message(of: $0) } }
  }

  /// For each level pin whose interrupt is in service, the message that it was sent with, if its entry has been
  /// given another since: the end comes from where that one went.
  public var formerMessages: [InterruptMessage?] {
    registers.withLock { registers in
      (0..<Self.pinCount).map { registers.formerMessage(of: $0) }
    }
  }

  /// All it remembers, to be saved and put back.
  ///
  /// Putting it back sends what is due, so the local APICs come first. Counters stay.
  public var state: IOAPICState {
    get { registers.withLock { $0.state } }
    set { change { $0.state = newValue } }
  }

  /// Every pin as it stands.
  public var pins: [IOAPICPin] {
    registers.withLock { registers in (0..<Self.pinCount).map { registers.pin($0) } }
  }

  /// Changes registers, tells of it if messages are others now, and sends what is due.
  func change(_ body: (inout IOAPICRegisters) -> Void) {
    let (action, change) = registers.withLock { registers in
      // What came before the change is judged by the entries before it.
      registers.see(levels.all)
      let before = registers.changes
      body(&registers)
      return (registers.changes == before ? nil : registers.redirectionAction, registers.changes)
    }
    if let action {
      action()
      registers.withLock { $0.didTell(change) }
    }
    send()
  }

  /// Sends all messages that are due, each pin's once; if interrupts have `ended`, after these.
  private func send(after ended: IOAPICRegisters.Ending? = nil) {
    var ended = ended
    var tried: UInt32 = 0
    while true {
      let next = registers.withLock { registers in
        if let ending = ended.take() { registers.finishEnd(ending) }
        registers.see(levels.all)
        return registers.takeMessage(tried: &tried)
      }
      guard let next else { return }
      let outcome = target.deliver(next.message)
      var hasMore = next.hasMore
      if outcome != .delivered, registers.withLock({ $0.settle(next, outcome) }) {
        // The guest changed the entry meanwhile, and found it in service.
        tried &= ~(1 << UInt32(next.pin))
        hasMore = true
      }
      guard hasMore else { return }
    }
  }
}
