public import DeviceModel

/// The two 8259A interrupt controllers of a PC (Intel 8259A data sheet), with the registers that
/// select edge or level for each pin (ELCR; ICH9, 13.4.10).
///
/// The first has pins 0 to 7, of which 2 is the second's output; the second has pins 8 to 15.
/// Regions 0 and 1 of the bus are the chips' two ports each, at 0x20 and 0xA0 by custom, and region
/// 2 the two ELCR at 0x4D0. Any thread may call anything; others are told with no lock held.
public final class PICPair: BusDevice, InterruptController {
  /// How many ports each of its three regions claims.
  public static var size: UInt64 { 2 }

  private let levels: PinLevels
  private let acknowledgement: any PinAcknowledgement
  // Nothing is called while it is held.
  private let registers = PlaneLock(PICPairRegisters())

  /// Makes a pair that requests nothing until the guest has initialised it.
  ///
  /// - Parameters:
  ///   - levels: The levels at its pins: 0 to 15, without 2.
  ///   - acknowledgement: Told when an interrupt of a pin has ended.
  public init(levels: PinLevels, acknowledgement: any PinAcknowledgement) {
    self.levels = levels
    self.acknowledgement = acknowledgement
  }

  /// Sets what is done when INTR has changed; once, before the guest runs.
  ///
  /// - Parameter action: Is given INTR's level, with no lock held. It never runs on two threads at
  ///   once: a thread that changes INTR while another is in it leaves it to that one to call it
  ///   again. So the level of the last call is the newest, and calls may be fewer than changes.
  public func whenOutputChanges(_ action: @escaping @Sendable (Bool) -> Void) {
    registers.withLock { $0.outputAction = action }
  }

  /// INTR: whether a processor is to acknowledge.
  public var isRequesting: Bool { registers.withLock { $0.output } }

  /// Acknowledges as a processor does (INTA); if the request has gone, by the spurious vector.
  ///
  /// - Returns: The vector of the interrupt, which is in service now.
  public func acknowledge() -> UInt8 {
    let (vector, ending) = change { $0.acknowledge { levels.all } }
    finish(ending)
    return vector
  }

  /// Looks at the levels of its pins.
  public func refresh() { change { _ in } }

  /// Reads a register: of a chip, a byte at a time, or ELCR.
  public func read(_ access: BusAccess) -> UInt64 {
    access.readBytes { offset in
      guard offset < Self.size else { return 0xFF }
      guard access.region != 2 else {
        return registers.withLock { $0.levelTriggered(isSecondary: offset == 1) }
      }
      let (value, ending) = change { $0.read(isSecondary: access.region == 1, port: offset) }
      finish(ending)
      return value
    }
  }

  /// Writes a register: of a chip, a byte at a time, or ELCR.
  public func write(_ value: UInt64, _ access: BusAccess) {
    access.writeBytes(value) { offset, byte in
      guard offset < Self.size else { return }
      guard access.region != 2 else {
        return change { $0.select(levels: byte, isSecondary: offset == 1) }
      }
      finish(change { $0.write(byte, isSecondary: access.region == 1, port: offset) })
    }
  }

  /// All it remembers, to be saved and put back; counters stay.
  public var state: PICPairState {
    get { registers.withLock { $0.state } }
    set { change(looksFirst: false) { $0.state = newValue } }
  }

  /// Every pin as it stands.
  public var pins: [PICPin] {
    registers.withLock { registers in (0..<16).map { registers.pin($0) } }
  }

  /// How often a processor acknowledged what had gone.
  public var spuriousCount: UInt64 { registers.withLock { $0.spurious } }

  /// Asks those at the pin of an interrupt that is to end, and then ends it: a source that is
  /// de-asserted in between does not interrupt once more.
  private func finish(_ ending: PICPairRegisters.Ending?) {
    guard let ending else { return }
    acknowledgement.acknowledged(.pic(ending.pin))
    change { $0.finish(ending) }
  }

  /// Changes registers, and tells of the output if it is another now.
  @discardableResult
  private func change<Result: Sendable>(
    looksFirst: Bool = true,
    _ body: (inout PICPairRegisters) -> Result
  ) -> Result {
    let (result, told) = registers.withLock { registers in
      if looksFirst { registers.see(levels.all) }
      let result = body(&registers)
      if !looksFirst { registers.see(levels.all) }
      registers.connect()
      return (result, registers.beginTelling())
    }
    guard let (action, first) = told else { return result }
    var next: Bool? = first
    while let output = next {
      action(output)
      next = registers.withLock { $0.continueTelling() }
    }
    return result
  }
}
