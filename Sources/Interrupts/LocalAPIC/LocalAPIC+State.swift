import DeviceModel

extension LocalAPIC {
  /// All that a local APIC remembers, to be saved, put back, or shown.
  public struct State: Equatable, Sendable {
    /// IA32_APIC_BASE.
    public var base: UInt64 = 0
    /// The task priority register.
    public var taskPriority: UInt8 = 0
    /// The logical destination register; in x2APIC mode it follows from the ID.
    public var logicalDestination: UInt32 = 0
    /// The destination format register.
    public var destinationFormat: UInt32 = .max
    /// The spurious-interrupt vector register.
    public var spurious: UInt32 = 0xFF
    /// The interrupt request register, eight words of 32 vectors, the lowest first.
    public var requested = [UInt32](repeating: 0, count: 8)
    /// The in-service register, likewise.
    public var inService = [UInt32](repeating: 0, count: 8)
    /// The trigger mode register, likewise.
    public var triggerMode = [UInt32](repeating: 0, count: 8)
    /// The error status register.
    public var errorStatus: UInt8 = 0
    /// Errors that no write to the error status register has shown yet.
    public var pendingErrors: UInt8 = 0
    /// The interrupt command register.
    public var command: UInt64 = 0
    /// The local vector table: timer, thermal, performance, LINT0, LINT1, error, CMCI.
    public var vectors = [UInt32](repeating: 1 << 16, count: 7)
    /// The timer's initial-count register.
    public var initialCount: UInt32 = 0
    /// The timer's divide configuration register.
    public var divideConfiguration: UInt32 = 0
    /// How long the timer has to count, in nanoseconds; `nil` if it stands or waits for a TSC value.
    public var timerRemaining: UInt64?
    /// IA32_TSC_DEADLINE.
    public var timestampDeadline: UInt64 = 0
    /// What has come for the processor.
    public var events = LocalAPICEvents()
    /// Whether a message has asked for an external interrupt that is not taken yet.
    public var isExternalPending = false

    /// A local APIC that is switched off.
    public init() {}

    /// The pending vectors, the lowest first.
    public var requestedVectors: [UInt8] { Self.vectors(in: requested) }
    /// The vectors in service, the lowest first.
    public var inServiceVectors: [UInt8] { Self.vectors(in: inService) }
    /// The vectors that were last accepted as levels, the lowest first.
    public var levelTriggeredVectors: [UInt8] { Self.vectors(in: triggerMode) }

    private static func vectors(in registers: [UInt32]) -> [UInt8] {
      let set = VectorSet(registers: registers)
      return (0...UInt8.max).filter { set.contains($0) }
    }
  }

  /// All it remembers, the level at LINT0 excepted, which is its driver's; any thread may read it.
  ///
  /// Putting it back is for a processor that does not run. Whatever no guest could have brought about
  /// is left out. The time-stamp counter is to be set before, for the timer's deadline to mean anything.
  public var state: State {
    get {
      let now = clock.monotonic
      // Any thread may ask, so the processor may have to hear of what comes of it.
      return foreign { core in
        core.advanceTimer(to: now)
        return core.state(at: now)
      }
    }
    set {
      let now = clock.monotonic
      own { $0.restore(newValue, at: now) }
    }
  }
}

extension LocalAPICCore {
  fileprivate func state(at now: UInt64) -> LocalAPIC.State {
    var state = LocalAPIC.State()
    state.base = base
    state.taskPriority = taskPriority
    state.logicalDestination = effectiveLogicalDestination
    state.destinationFormat = destinationFormat
    state.spurious = spurious
    state.requested = requested.registers
    state.inService = inService.registers
    state.triggerMode = triggerMode.registers
    state.errorStatus = errorStatus
    state.pendingErrors = pendingErrors
    state.command = command
    state.vectors = LocalVector.allCases.map { self[$0].rawValue }
    state.initialCount = timer.initialCount
    state.divideConfiguration = timer.divideConfiguration
    state.timerRemaining = timer.mode.counts ? timer.expiry.map { $0 &- now } : nil
    state.timestampDeadline = timer.timestampDeadline
    state.events = events
    state.isExternalPending = isExternalLatched
    return state
  }

  fileprivate mutating func restore(_ state: LocalAPIC.State, at now: UInt64) {
    resetRegisters()
    base = state.base & (Base.bootProcessor | Base.enabled | 0x000F_FFFF_FFFF_F000)
    if options.hasX2APIC, isEnabled { base |= state.base & Base.x2APIC }
    events = state.events
    // CR8 writes it, switched on or off.
    taskPriority = state.taskPriority
    // Switched off, there is nothing else in it.
    guard isEnabled else { return }
    logicalDestination = isX2APIC ? 0 : state.logicalDestination & 0xFF00_0000
    destinationFormat = state.destinationFormat | 0x0FFF_FFFF
    spurious = state.spurious & (0x3FF | (options.suppressesEOIBroadcast ? 1 << 12 : 0))
    requested = VectorSet(registers: state.requested)
    inService = VectorSet(registers: state.inService)
    triggerMode = VectorSet(registers: state.triggerMode)
    errorStatus = state.errorStatus
    pendingErrors = state.pendingErrors
    command = state.command & (isX2APIC ? 0xFFFF_FFFF_000C_CFFF : 0xFF00_0000_000C_CFFF)
    for (vector, value) in zip(LocalVector.allCases, state.vectors) {
      self[vector].rawValue = value & vector.defined & ~(1 << 12)
      if !isSoftwareEnabled { self[vector].isMasked = true }
    }
    timer.restore(
      mode: LocalAPICTimer.Mode(entry: self[.timer].rawValue),
      initialCount: state.initialCount,
      divideConfiguration: state.divideConfiguration,
      timestampDeadline: state.timestampDeadline,
      remaining: state.timerRemaining,
      at: now
    )
    isExternalLatched = state.isExternalPending
    advanceTimer(to: now)
    refreshLINT0()
  }
}
