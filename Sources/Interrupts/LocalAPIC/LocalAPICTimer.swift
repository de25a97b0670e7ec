/// The timer of a local APIC, worked out when somebody looks (SDM volume 3A, 11.5.4).
struct LocalAPICTimer: Sendable {
  /// How the timer runs: bits 18:17 of its LVT entry.
  enum Mode: UInt32, Sendable {
    case oneShot = 0
    case periodic = 1
    case timestampDeadline = 2
    case reserved = 3

    init(entry: UInt32) { self = Self(rawValue: entry >> 17 & 3) ?? .reserved }

    /// Whether the timer counts down, rather than waiting for a time.
    var counts: Bool { self == .oneShot || self == .periodic }
  }

  /// The shortest time between two periodic interrupts, in nanoseconds.
  ///
  /// A guest could otherwise keep the host's timers busy with one write. Periods that are shorter are
  /// kept, and those that come too soon are left out, as if the interrupt were still pending.
  static var shortestPeriod: UInt64 { 20_000 }

  private(set) var mode = Mode.oneShot
  private(set) var initialCount: UInt32 = 0
  private(set) var divideConfiguration: UInt32 = 0
  private(set) var timestampDeadline: UInt64 = 0
  private var counter: TimestampCounter
  /// When the count is zero or the time has come, in nanoseconds of the clock; `nil` if it stands.
  private(set) var expiry: UInt64?

  init(_ counter: TimestampCounter) { self.counter = counter }

  /// As after a reset, with the time-stamp counter as it runs.
  mutating func reset() { self = Self(counter) }

  // SDM volume 3A, figure 11-10: bits 3, 1 and 0 are one number; 0 divides by 2, 6 by 128, and 7 by 1.
  private var shift: UInt64 {
    (UInt64(divideConfiguration & 3 | divideConfiguration >> 1 & 4) &+ 1) & 7
  }

  /// The current-count register.
  func currentCount(at now: UInt64) -> UInt32 {
    guard mode.counts, let expiry, expiry > now else { return 0 }
    let count = (expiry &- now &+ (1 << shift) &- 1) >> shift
    // A period that was left out counts down, too.
    guard mode == .periodic, initialCount > 0 else { return UInt32(clamping: count) }
    return UInt32(truncatingIfNeeded: (count &- 1) % UInt64(initialCount) &+ 1)
  }

  /// Starts to count; 0 stops (SDM volume 3A, 11.5.4).
  ///
  /// Ignored while there is no counting (11.5.4.1).
  mutating func setInitialCount(_ value: UInt32, at now: UInt64) {
    guard mode.counts else { return }
    initialCount = value
    expiry = value == 0 ? nil : now &+ UInt64(value) << shift
  }

  /// Counts on from where it is, at another rate.
  mutating func setDivideConfiguration(_ value: UInt32, at now: UInt64) {
    let count = currentCount(at: now)
    divideConfiguration = value & 0xB
    if mode.counts, expiry != nil { expiry = now &+ UInt64(count) << shift }
  }

  /// Follows a write of the LVT entry.
  ///
  /// Going into TSC-deadline mode or out of it disarms (SDM volume 3A, 11.5.4.1). Between one-shot and
  /// periodic the count goes on, and what happens at zero is decided then, as processors do.
  mutating func setMode(_ new: Mode) {
    let isSameKind = mode == new || mode.counts && new.counts
    mode = new
    guard !isSameKind else { return }
    expiry = nil
    initialCount = 0
    timestampDeadline = 0
  }

  /// IA32_TSC_DEADLINE; 0 disarms, and in another mode a write is ignored (SDM volume 3A, 11.5.4.1).
  mutating func setTimestampDeadline(_ value: UInt64) {
    guard mode == .timestampDeadline else { return }
    timestampDeadline = value
    expiry = value == 0 ? nil : counter.nanoseconds(whenValueIs: value)
  }

  /// Follows a time-stamp counter that was set to something else.
  mutating func setCounter(_ counter: TimestampCounter) {
    self.counter = counter
    setTimestampDeadline(timestampDeadline)
  }

  /// Brings the timer up to `now`.
  ///
  /// - Returns: Whether it has expired since; once is as often as matters.
  mutating func advance(to now: UInt64) -> Bool {
    guard let due = expiry, due <= now else { return false }
    let period = UInt64(initialCount) << shift
    guard mode == .periodic, period > 0 else {
      expiry = nil
      timestampDeadline = 0
      return true
    }
    let missed = (now &- due) / period &+ 1
    let spacing = (Self.shortestPeriod &+ period &- 1) / period
    expiry = due &+ max(missed, spacing) &* period
    return true
  }

  // MARK: Saving

  /// Takes a saved timer; `remaining` is what it had left, in nanoseconds.
  mutating func restore(
    mode: Mode,
    initialCount: UInt32,
    divideConfiguration: UInt32,
    timestampDeadline: UInt64,
    remaining: UInt64?,
    at now: UInt64
  ) {
    self.mode = mode
    self.initialCount = mode.counts ? initialCount : 0
    self.divideConfiguration = divideConfiguration & 0xB
    self.timestampDeadline = 0
    expiry = nil
    setTimestampDeadline(timestampDeadline)
    guard mode.counts, let remaining else { return }
    // No count takes longer than all ones of it at the slowest rate.
    expiry = now &+ min(remaining, UInt64(UInt32.max) << 7)
  }
}
