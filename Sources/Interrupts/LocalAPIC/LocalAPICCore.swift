/// The registers of one local APIC and what happens to them, with no ties to the outside.
///
/// Whatever follows from a change for others is noted in ``effects``, and is done by the owner once
/// it has let go of its lock.
struct LocalAPICCore: Sendable {
  /// What follows from a change.
  struct Effects: Sendable {
    /// An EOI to broadcast.
    var endOfInterrupt: UInt8?
    /// An IPI to send.
    var request: InterruptRequest?
    /// Whether the host's timer has to be set anew.
    var timerChanged = false

    var isEmpty: Bool { endOfInterrupt == nil && request == nil && !timerChanged }
  }

  /// The bits of IA32_APIC_BASE (SDM volume 3A, figure 11-26).
  enum Base {
    static var bootProcessor: UInt64 { 1 << 8 }
    static var x2APIC: UInt64 { 1 << 10 }
    static var enabled: UInt64 { 1 << 11 }
    static var initialAddress: UInt64 { 0xFEE0_0000 }
  }

  /// The error bits (SDM volume 3A, figure 11-9).
  ///
  /// Bits 0 to 3 are of older processors, whose local APICs had a bus of their own.
  enum ErrorBit {
    static var sendIllegalVector: UInt8 { 1 << 5 }
    static var receiveIllegalVector: UInt8 { 1 << 6 }
    static var illegalRegister: UInt8 { 1 << 7 }
  }

  let id: UInt32
  let options: LocalAPICOptions
  var base: UInt64
  var taskPriority: UInt8 = 0
  /// As a guest sees it in xAPIC mode.
  var logicalDestination: UInt32 = 0
  var destinationFormat: UInt32 = .max
  var spurious: UInt32 = 0xFF
  var requested = VectorSet()
  var inService = VectorSet()
  var triggerMode = VectorSet()
  var errorStatus: UInt8 = 0
  /// Errors since the last write to the error status register.
  var pendingErrors: UInt8 = 0
  var command: UInt64 = 0
  var vectors = InlineArray<7, LocalVectorEntry>(repeating: LocalVectorEntry())
  var timer: LocalAPICTimer
  var events = LocalAPICEvents()
  /// Whether a message has asked for an external interrupt.
  var isExternalLatched = false
  /// The level at LINT0.
  var lint0Level = false
  var counters = LocalAPICCounters()
  var effects = Effects()
  /// What the host's timer was last asked for, and how often that has changed.
  var armedDeadline: UInt64?
  var timerGeneration: UInt64 = 0

  init(id: UInt32, options: LocalAPICOptions, counter: TimestampCounter) {
    self.id = id
    self.options = options
    base = Self.initialBase(id)
    timer = LocalAPICTimer(counter)
  }

  private static func initialBase(_ id: UInt32) -> UInt64 {
    Base.initialAddress | Base.enabled | (id == 0 ? Base.bootProcessor : 0)
  }

  // MARK: Modes

  var isEnabled: Bool { base & Base.enabled != 0 }
  var isX2APIC: Bool { base & Base.x2APIC != 0 }
  /// Whether the page is there.
  var hasPage: Bool { base & (Base.enabled | Base.x2APIC) == Base.enabled }
  var isSoftwareEnabled: Bool { isEnabled && spurious & 1 << 8 != 0 }

  /// SDM volume 3A, 11.12.10.2: in x2APIC mode the logical destination follows from the ID.
  var effectiveLogicalDestination: UInt32 {
    isX2APIC ? (id >> 4) << 16 | 1 << (id & 0xF) : logicalDestination
  }

  var address: LocalAPICAddress {
    LocalAPICAddress(
      logical: effectiveLogicalDestination,
      format: destinationFormat,
      isEnabled: isEnabled,
      isX2APIC: isX2APIC
    )
  }

  subscript(vector: LocalVector) -> LocalVectorEntry {
    get { vectors[vector.rawValue] }
    set { vectors[vector.rawValue] = newValue }
  }

  /// As after power-up (SDM volume 3A, 11.4.7.1).
  mutating func reset() {
    base = Self.initialBase(id)
    events = LocalAPICEvents()
    resetRegisters()
  }

  /// What power-up and INIT have in common; base, ID and what has come for the processor stay
  /// (SDM volume 3A, 11.4.7.3).
  mutating func resetRegisters() {
    taskPriority = 0
    logicalDestination = 0
    destinationFormat = .max
    spurious = 0xFF
    requested = VectorSet()
    inService = VectorSet()
    triggerMode = VectorSet()
    errorStatus = 0
    pendingErrors = 0
    command = 0
    vectors = InlineArray(repeating: LocalVectorEntry())
    timer.reset()
    isExternalLatched = false
  }

  /// Writes IA32_APIC_BASE; false if that is a #GP(0) (SDM volume 3A, 11.4.4, 11.12.5).
  mutating func setBase(_ value: UInt64) -> Bool {
    let addresses: UInt64 = (1 << UInt64(options.physicalAddressWidth)) &- 0x1000
    let modes = Base.enabled | (options.hasX2APIC ? Base.x2APIC : 0)
    guard value & ~(addresses | modes | Base.bootProcessor) == 0 else { return false }
    let isEnabled = value & Base.enabled != 0
    let isX2APIC = value & Base.x2APIC != 0
    // x2APIC mode is entered from xAPIC mode, and left only by switching off altogether.
    if isX2APIC {
      guard isEnabled, self.isEnabled else { return false }
    } else if self.isX2APIC, isEnabled {
      return false
    }
    // SDM volume 3A, 11.4.3: what was there before is lost while it is off.
    if self.isEnabled, !isEnabled { resetRegisters() }
    base = value
    return true
  }

  // MARK: Time

  /// When the host's timer has to expire, in nanoseconds; `nil` while nothing could come of it.
  ///
  /// A periodic timer whose interrupt the processor has not taken yet costs the host nothing: until
  /// then, all that expires is one with it.
  private var wantedDeadline: UInt64? {
    guard let expiry = timer.expiry, expiry < UInt64(Int64.max) else { return nil }
    let entry = vectors[LocalVector.timer.rawValue]
    guard !entry.isMasked else { return nil }
    if entry.vector < 16 {
      return pendingErrors & ErrorBit.receiveIllegalVector == 0 ? expiry : nil
    }
    return timer.mode == .periodic && requested.contains(entry.vector) ? nil : expiry
  }

  /// Brings the timer up to `now`, with what happens at its expiry.
  mutating func advanceTimer(to now: UInt64) {
    if timer.advance(to: now) { raise(.timer) }
  }

  /// Notes whether the host's timer has to be set anew.
  mutating func settleTimer() {
    let wanted = wantedDeadline
    guard wanted != armedDeadline else { return }
    armedDeadline = wanted
    timerGeneration &+= 1
    effects.timerChanged = true
  }
}
