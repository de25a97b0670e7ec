public import DeviceModel
import Synchronization

/// ACPI's fixed power-management registers: event, control and timer (ACPI 6.5, 4.8.3).
///
/// Twelve ports: PM1a event block at +0 (status, enable), PM1a control at +4, PM timer at +8. There
/// is no legacy mode, so SCI_EN is always set. The one sleeping state is S5, soft off. The power
/// button is a fixed one. Any thread may call.
public final class ACPIPowerManagement: BusDevice {
  /// How many ports it claims.
  public static var size: UInt64 { 12 }
  /// Where its range has the event block.
  public static var eventBlock: UInt64 { 0 }
  /// Where its range has the control block.
  public static var controlBlock: UInt64 { 4 }
  /// Where its range has the timer.
  public static var timerBlock: UInt64 { 8 }
  /// The SLP_TYP that stands for S5, as `\_S5` says.
  public static var softOffType: UInt8 { 5 }
  /// The timer's frequency in Hz (4.8.3.3).
  public static var timerFrequency: UInt64 { 3_579_545 }

  /// PM1 status and, by the same bits, PM1 enable (4.8.3.1).
  private struct Event: OptionSet {
    let rawValue: UInt16
    static var timer: Self { Self(rawValue: 1 << 0) }
    static var globalLock: Self { Self(rawValue: 1 << 5) }
    static var powerButton: Self { Self(rawValue: 1 << 8) }
    static var clock: Self { Self(rawValue: 1 << 10) }
    static var wake: Self { Self(rawValue: 1 << 15) }
    /// Those that can be enabled here.
    ///
    /// The clock's event never comes, as the FADT says (FIX_RTC), yet Linux enables it all the same
    /// and complains if the bit does not stay.
    static var enables: Self { [.timer, .globalLock, .powerButton, .clock] }
  }

  private struct State {
    var status: Event = []
    var enabled: Event = []
    /// SLP_TYP and BM_RLD; SCI_EN and the write-only bits are not kept.
    var control: UInt16 = 0
    /// How often the timer's top bit had changed when ``status`` was last brought up to date.
    var seenHalves: UInt64 = 0
    var lineLevel = false
    /// When the timer showed 0, in nanoseconds of the clock; it may lie before the clock's own beginning.
    var start: UInt64 = 0
  }

  /// All it remembers, to be saved and put back.
  public struct SavedState: Equatable, Sendable {
    /// PM1 status.
    public var status: UInt16 = 0
    /// PM1 enable.
    public var enabled: UInt16 = 0
    /// PM1 control.
    public var control: UInt16 = 0
    /// How long the timer has counted, in nanoseconds.
    public var elapsed: UInt64 = 0
    /// How often the timer's top bit has changed, as far as the status tells.
    public var seenHalves: UInt64 = 0

    /// As at power-on.
    public init() {}
  }

  private let system: any SystemControl
  private let line: any InterruptLine
  private let clock: any DeviceClock
  private let timer: any DeviceTimer
  // Held over calls to the line and the timer, neither of which calls back, so that the last
  // change wins. Lock order: this before the line's and the clock's.
  private let state = Mutex(State())

  /// Makes the registers.
  ///
  /// - Parameters:
  ///   - line: The system control interrupt (SCI), level-triggered.
  ///   - clock: Drives the PM timer.
  ///   - system: Told of power-off.
  public init(line: any InterruptLine, clock: any DeviceClock, system: any SystemControl) {
    self.line = line
    self.clock = clock
    self.system = system
    let now = clock.monotonic
    state.withLock { $0.start = now }
    timer = clock.makeTimer()
    timer.whenExpired { [weak self] in self?.update { _ in } }
  }

  /// Whether the guest listens to the power button, so that pressing it has an effect.
  public var isPowerButtonEnabled: Bool {
    state.withLock { $0.enabled.contains(.powerButton) }
  }

  /// Presses the power button: PWRBTN_STS is set, and the SCI raised if the guest enabled it (4.8.2.2).
  public func pressPowerButton() {
    update { state in state.status.formUnion(.powerButton) }
  }

  /// Reads registers, at any width.
  public func read(_ access: BusAccess) -> UInt64 {
    if access.offset >= Self.timerBlock {
      let value = UInt32(truncatingIfNeeded: state.withLock { ticks($0) })
      return access.readBytes { offset in
        offset < Self.size ? UInt8(truncatingIfNeeded: value >> (8 * (offset - 8))) : 0
      }
    }
    return update { state in
      // SCI_EN: with no SMI command port, ACPI mode cannot be left (5.2.9).
      let control = state.control | 0x0001
      let registers =
        UInt64(state.status.rawValue) | UInt64(state.enabled.rawValue) << 16
        | UInt64(control) << 32
      return access.readBytes { offset in
        offset < 8 ? UInt8(truncatingIfNeeded: registers >> (8 * offset)) : 0
      }
    }
  }

  /// Writes registers, at any width.
  public func write(_ value: UInt64, _ access: BusAccess) {
    let powersOff = update { state in
      var powersOff = false
      access.writeBytes(value) { offset, byte in
        if Self.write(byte, at: offset, &state) { powersOff = true }
      }
      return powersOff
    }
    if powersOff { system.request(.powerOff) }
  }

  /// All it remembers, to be saved and put back; any thread.
  ///
  /// Putting it back sets the line, and the timer goes on from where it was.
  public var savedState: SavedState {
    get {
      update { state in
        var saved = SavedState()
        saved.status = state.status.rawValue
        saved.enabled = state.enabled.rawValue
        saved.control = state.control
        saved.elapsed = clock.monotonic &- state.start
        saved.seenHalves = state.seenHalves
        return saved
      }
    }
    set {
      // From now on, which the update looks at first.
      state.withLock { state in
        state.start = clock.monotonic &- newValue.elapsed
        state.seenHalves = min(newValue.seenHalves, ticks(state) >> 31)
      }
      update { state in
        state.status = Event(rawValue: newValue.status)
        state.enabled = Event(rawValue: newValue.enabled).intersection(.enables)
        state.control = newValue.control & 0x1C02
      }
    }
  }

  /// Clears every register; the timer runs on.
  public func reset() {
    update { state in
      state.status = []
      state.enabled = []
      state.control = 0
    }
  }

  /// Writes one byte; true if it starts soft off.
  private static func write(_ byte: UInt8, at offset: UInt64, _ state: inout State) -> Bool {
    let shift = 8 * (offset & 1)
    let bits = UInt16(byte) << shift
    let kept = ~(UInt16(0xFF) << shift)
    switch offset & ~1 {
    case 0:
      // 4.8.3.1.1: status bits are cleared by writing a one.
      state.status.subtract(Event(rawValue: bits))
    case 2:
      let enabled = Event(rawValue: state.enabled.rawValue & kept | bits)
      state.enabled = enabled.intersection(.enables)
    case 4:
      // SLP_EN is bit 13 and write-only, SLP_TYP bits 10 to 12 (4.8.3.2.1).
      state.control = (state.control & kept | bits) & 0x1C02
      let sleepType = UInt8(truncatingIfNeeded: state.control >> 10) & 0x07
      return bits & 0x2000 != 0 && sleepType == softOffType
    default: break  // The timer is read-only.
    }
    return false
  }

  /// How often the timer has counted.
  private func ticks(_ state: State) -> UInt64 { Self.ticks(in: clock.monotonic &- state.start) }

  private static func ticks(in nanoseconds: UInt64) -> UInt64 {
    let seconds = nanoseconds / 1_000_000_000
    return seconds &* timerFrequency
      &+ nanoseconds % 1_000_000_000 * timerFrequency / 1_000_000_000
  }

  /// The first nanosecond, from the start, at which the timer shows `ticks`.
  private static func nanoseconds(until ticks: UInt64) -> UInt64 {
    ticks / timerFrequency &* 1_000_000_000
      &+ (ticks % timerFrequency * 1_000_000_000 + timerFrequency - 1) / timerFrequency
  }

  /// Changes the registers, then carries out what follows.
  private func update<Result>(_ body: (inout State) -> Result) -> Result {
    state.withLock { state in
      // 4.8.3.1.1: TMR_STS is set each time that the top bit of the timer changes.
      let halves = ticks(state) >> 31
      if halves > state.seenHalves {
        state.seenHalves = halves
        state.status.insert(.timer)
      }
      let hadTimer = state.enabled.contains(.timer)
      let result = body(&state)
      let level = !state.status.intersection(state.enabled).isEmpty
      if level != state.lineLevel {
        state.lineLevel = level
        if level { line.assert() } else { line.deassert() }
      }
      if state.enabled.contains(.timer), !state.status.contains(.timer) {
        timer.arm(at: state.start &+ Self.nanoseconds(until: (state.seenHalves &+ 1) << 31))
      } else if hadTimer {
        timer.disarm()
      }
      return result
    }
  }
}
