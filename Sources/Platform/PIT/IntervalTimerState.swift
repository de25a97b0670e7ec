/// All that an interval timer remembers, to be saved and put back; times are in ticks of its clock.
public struct IntervalTimerState: Equatable, Sendable {
  /// One of the three counters (8254 data sheet).
  public struct Counter: Equatable, Sendable {
    /// The low six bits of the control word: how bytes come, the mode, and BCD.
    public var control: UInt8 = 0x30
    /// The level at the gate.
    public var gate = true
    /// Whether a count has been loaded, or will be with the next tick.
    public var isCounting = false
    /// What the counter reads as while it does not count.
    public var shown: UInt16 = 0
    /// The count that it was loaded with, 1 to 65536.
    public var count: UInt32 = 65_536
    /// How many ticks ago that was; -1 if it comes with the next.
    ///
    /// Of a counter that is held by its gate, how many ticks it had counted.
    public var elapsed: Int64 = 0
    /// Whether the gate holds it.
    public var isHeld = false
    /// Whether a square wave was low when the count was loaded.
    public var startsLow = false
    /// The output until the count is loaded, of a one-shot.
    public var outputBefore = true
    /// A count that is to be loaded at the end of the cycle or by the gate, 1 to 65536.
    public var nextCount: UInt32?
    /// How many ticks ago that one was written.
    public var nextAge: UInt64 = 0
    /// Whether no count has been written since the control word.
    public var awaitsCount = true
    /// The low byte of a count whose high byte is to come.
    public var writtenLow: UInt8?
    /// Whether the next byte that is read is the high one.
    public var readsHigh = false
    /// A count that was latched and is not read yet.
    public var latchedCount: UInt16?
    /// A status that was latched and is not read yet.
    public var latchedStatus: UInt8?

    /// A counter that has just been switched on.
    public init() {}
  }

  /// The counters, three; missing ones are as after power-up, and further ones are not looked at.
  public var counters = [Counter(), Counter(), Counter()]
  /// Bits 0 to 3 of port B; bit 0 is the third counter's gate.
  public var control: UInt8 = 0
  /// The level of the interrupt line.
  public var lineLevel = false

  /// A timer that has just been switched on.
  public init() { counters[2].gate = false }
}
