/// The registers of the clock chip and what the passing of time does to them, with no ties to the
/// outside (Motorola MC146818A data sheet; the registers from 0x0E on are the PC's).
///
/// Flags are worked out when somebody looks, so that time costs nothing while nobody does.
struct CMOS {
  /// The registers that have a meaning to the chip.
  enum Register {
    static var second: Int { 0x00 }
    static var secondAlarm: Int { 0x01 }
    static var minute: Int { 0x02 }
    static var minuteAlarm: Int { 0x03 }
    static var hour: Int { 0x04 }
    static var hourAlarm: Int { 0x05 }
    static var weekday: Int { 0x06 }
    static var day: Int { 0x07 }
    static var month: Int { 0x08 }
    static var year: Int { 0x09 }
    static var a: Int { 0x0A }
    static var b: Int { 0x0B }
    static var c: Int { 0x0C }
    static var d: Int { 0x0D }
    static var century: Int { 0x32 }
  }

  /// Register B, and by the same bits the flags of register C.
  struct Control: OptionSet {
    let rawValue: UInt8
    static var daylightSaving: Self { Self(rawValue: 1 << 0) }
    static var twentyFourHours: Self { Self(rawValue: 1 << 1) }
    static var binary: Self { Self(rawValue: 1 << 2) }
    static var squareWave: Self { Self(rawValue: 1 << 3) }
    static var updateEnded: Self { Self(rawValue: 1 << 4) }
    static var alarm: Self { Self(rawValue: 1 << 5) }
    static var periodic: Self { Self(rawValue: 1 << 6) }
    static var set: Self { Self(rawValue: 1 << 7) }
    /// The interrupts, and the flags that cause them.
    static var interrupts: Self { [.updateEnded, .alarm, .periodic] }
  }

  /// The host's clocks at one moment, in nanoseconds.
  struct Instant {
    var monotonic: UInt64
    var realTime: Int64

    var second: Int64 { CalendarTime.floorDivide(realTime, 1_000_000_000) }
    var fraction: Int64 { realTime - second * 1_000_000_000 }
  }

  /// Register A as firmware sets it: a 32.768 kHz time base, a rate of 1024 Hz.
  private static var initialA: UInt8 { 0x26 }

  var index = 0
  var a = initialA
  var b: Control = .twentyFourHours
  var c: Control = []
  // The time registers hold a value of their own only while the clock is stopped.
  var memory = InlineArray<128, UInt8>(repeating: 0)
  /// The guest's clock less the host's, in seconds; they tick together.
  var offset: Int64 = 0
  /// What the guest made the weekday differ from the date's, in days.
  var weekdayOffset: Int64 = 0
  /// Up to when ``c`` is worked out.
  var seen: Instant
  /// The level that the interrupt line was last set to.
  var lineLevel = false
  /// What the timer is armed for, if it is.
  var armed: UInt64?

  init(at now: Instant) { seen = now }

  /// Sets a byte of the memory that the chip gives no meaning to.
  mutating func setMemory(_ register: Int, to value: UInt8) { memory[register & 0x7F] = value }
  func memory(at register: Int) -> UInt8 { memory[register & 0x7F] }

  mutating func select(_ value: UInt8) {
    // Bit 7 of the port is the PC's NMI mask, and no part of the address.
    index = Int(value & 0x7F)
  }

  // MARK: Time

  /// Whether the time stands still: SET is on, or the divider is held in reset.
  private var isStopped: Bool { b.contains(.set) || a & 0x60 == 0x60 }

  private func calendarTime(at now: Instant) -> CalendarTime {
    CalendarTime(seconds: now.second &+ offset)
  }

  private func encode(_ value: Int64) -> UInt8 {
    let value = UInt8(truncatingIfNeeded: value)
    return b.contains(.binary) ? value : (value / 10) << 4 | value % 10
  }

  private func decode(_ value: UInt8) -> Int64 {
    Int64(b.contains(.binary) ? value : value >> 4 &* 10 &+ value & 0x0F)
  }

  private func encodeHour(_ hour: Int64) -> UInt8 {
    guard !b.contains(.twentyFourHours) else { return encode(hour) }
    return encode((hour + 11) % 12 + 1) | (hour >= 12 ? 0x80 : 0)
  }

  private func decodeHour(_ value: UInt8) -> Int64 {
    guard !b.contains(.twentyFourHours) else { return decode(value) }
    return decode(value & 0x7F) % 12 + (value & 0x80 != 0 ? 12 : 0)
  }

  /// What a time register shows while the clock runs; `nil` for any other register.
  private func timeByte(_ register: Int, at now: Instant) -> UInt8? {
    let time = calendarTime(at: now)
    switch register {
    case Register.second: return encode(time.second)
    case Register.minute: return encode(time.minute)
    case Register.hour: return encodeHour(time.hour)
    case Register.weekday:
      let days = time.days &+ 4 &+ weekdayOffset
      return encode(days - CalendarTime.floorDivide(days, 7) * 7 + 1)
    case Register.day: return encode(time.day)
    case Register.month: return encode(time.month)
    case Register.year: return encode(time.year % 100)
    case Register.century: return encode(time.year / 100 % 100)
    default: return nil
    }
  }

  private static var timeRegisters: InlineArray<8, Int> {
    [
      Register.second, Register.minute, Register.hour, Register.weekday, Register.day,
      Register.month, Register.year, Register.century,
    ]
  }

  /// Copies the running time into the registers.
  private mutating func holdTime(at now: Instant) {
    let registers = Self.timeRegisters
    for index in registers.indices {
      let register = registers[index]
      memory[register] = timeByte(register, at: now) ?? 0
    }
  }

  /// Sets the clock to what the registers hold; fields out of range carry over.
  private mutating func setTime(at now: Instant) {
    let time = CalendarTime(
      year: decode(memory[Register.century]) * 100 + decode(memory[Register.year]),
      month: decode(memory[Register.month]),
      day: decode(memory[Register.day]),
      hour: decodeHour(memory[Register.hour]),
      minute: decode(memory[Register.minute]),
      second: decode(memory[Register.second])
    )
    offset = time.seconds &- now.second
    let weekday = decode(memory[Register.weekday])
    weekdayOffset = weekday == 0 ? 0 : (weekday - 1 - (time.days + 4)) % 7
  }

  // MARK: Registers

  mutating func read(at now: Instant) -> UInt8 {
    switch index {
    case Register.a:
      // The update takes the last 244 us of each second; while it is under way, or the clock
      // stands, the bit says so (MC146818A, "update cycle").
      let isUpdating = !isStopped && now.fraction >= 1_000_000_000 - 244_141
      return a | (isUpdating ? 0x80 : 0)
    case Register.b: return b.rawValue
    case Register.c:
      advance(to: now)
      let flags = c.rawValue | (isInterrupting ? 0x80 : 0)
      c = []
      return flags
    case Register.d: return 0x80  // The battery is fine.
    default:
      guard !isStopped else { return memory[index] }
      return timeByte(index, at: now) ?? memory[index]
    }
  }

  mutating func write(_ value: UInt8, at now: Instant) {
    advance(to: now)
    switch index {
    case Register.a:
      let wasStopped = isStopped
      // The time is held in the format of the moment, so before the change.
      if !wasStopped { holdTime(at: now) }
      a = value & 0x7F
      if wasStopped, !isStopped { setTime(at: now) }
    case Register.b:
      let wasStopped = isStopped
      if !wasStopped { holdTime(at: now) }
      b = Control(rawValue: value)
      // SET going on turns the update interrupt off (MC146818A, "UIE").
      if b.contains(.set) { b.remove(.updateEnded) }
      if wasStopped, !isStopped { setTime(at: now) }
    case Register.c, Register.d: break  // read-only
    default:
      let isTime = timeByte(index, at: now) != nil
      if isTime, !isStopped { holdTime(at: now) }
      memory[index] = value
      if isTime, !isStopped { setTime(at: now) }
    }
  }

  /// What the RESET pin does: interrupts off, time and memory kept.
  mutating func reset(at now: Instant) {
    advance(to: now)
    b.subtract(.interrupts)
    b.remove(.squareWave)
    c = []
  }

  // MARK: Interrupts

  var isInterrupting: Bool { !b.intersection(c).intersection(.interrupts).isEmpty }

  /// Brings the flags up to now.
  mutating func advance(to now: Instant) {
    defer { seen = now }
    if let before = ticks(at: seen), let after = ticks(at: now), after > before {
      c.insert(.periodic)
    }
    guard !isStopped, now.second > seen.second else { return }
    c.insert(.updateEnded)
    if let alarm = alarm(after: seen.second &+ offset), alarm <= now.second &+ offset {
      c.insert(.alarm)
    }
  }

  /// When the next flag whose interrupt is enabled comes, in monotonic nanoseconds.
  ///
  /// A flag that is up already needs no timer until the guest has read it.
  func deadline(after now: Instant) -> UInt64? {
    var earliest: UInt64?
    func consider(_ deadline: UInt64) { earliest = min(earliest ?? deadline, deadline) }

    let wanted = b.subtracting(c)
    if wanted.contains(.periodic), let ticks = ticks(at: now) {
      consider(Self.nanoseconds(ofTimeBase: (ticks &+ 1) << (rate - 1)))
    }
    guard !isStopped else { return earliest }
    let nextSecond = now.monotonic &+ UInt64(1_000_000_000 - now.fraction)
    if wanted.contains(.updateEnded) { consider(nextSecond) }
    if wanted.contains(.alarm), let alarm = alarm(after: now.second &+ offset) {
      let seconds = alarm &- now.second &- offset &- 1
      consider(nextSecond &+ UInt64(clamping: seconds) &* 1_000_000_000)
    }
    return earliest
  }

  /// The rate selection, 3 to 15; 0 if there is no periodic interrupt.
  private var rate: UInt64 {
    guard a & 0x60 != 0x60 else { return 0 }
    switch a & 0x0F {
    case 0: return 0
    // With a 32.768 kHz time base these two stand for 256 and 128 Hz (MC146818A, table 5).
    case 1: return 8
    case 2: return 9
    case let rate: return UInt64(rate)
    }
  }

  /// How many periods have passed at `instant`.
  private func ticks(at instant: Instant) -> UInt64? {
    guard rate > 0 else { return nil }
    let seconds = instant.monotonic / 1_000_000_000
    let rest = instant.monotonic % 1_000_000_000
    return (seconds &* 32_768 &+ rest * 32_768 / 1_000_000_000) >> (rate - 1)
  }

  /// The first nanosecond at which the 32.768 kHz time base shows `count`.
  private static func nanoseconds(ofTimeBase count: UInt64) -> UInt64 {
    count / 32_768 &* 1_000_000_000 &+ (count % 32_768 * 1_000_000_000 + 32_767) / 32_768
  }

  /// The first second after `second`, of the guest's clock, that matches the alarm registers.
  private func alarm(after second: Int64) -> Int64? {
    // The two highest bits make a register match anything (MC146818A, "alarm").
    let hour = memory[Register.hourAlarm]
    let minute = memory[Register.minuteAlarm]
    let at = memory[Register.secondAlarm]
    let wantedHour = hour >= 0xC0 ? nil : decodeHour(hour)
    let wantedMinute = minute >= 0xC0 ? nil : decode(minute)
    let wantedSecond = at >= 0xC0 ? nil : decode(at)
    // A value that the clock never shows never matches.
    guard wantedHour ?? 0 < 24, wantedMinute ?? 0 < 60, wantedSecond ?? 0 < 60 else { return nil }

    let start = second &+ 1
    let midnight = CalendarTime.floorDivide(start, 86_400) * 86_400
    // From tomorrow's midnight on, the earliest match of a day is what counts.
    let earliest = (wantedHour ?? 0) * 3_600 + (wantedMinute ?? 0) * 60 + (wantedSecond ?? 0)
    let today = start - midnight
    for hour in today / 3_600..<24 where hour == wantedHour ?? hour {
      let fromMinute = hour * 3_600 < today ? today / 60 % 60 : 0
      for minute in fromMinute..<60 where minute == wantedMinute ?? minute {
        let base = hour * 3_600 + minute * 60
        let found = base + (wantedSecond ?? max(today - base, 0))
        if found >= today { return midnight + found }
      }
    }
    return midnight + 86_400 + earliest
  }
}
