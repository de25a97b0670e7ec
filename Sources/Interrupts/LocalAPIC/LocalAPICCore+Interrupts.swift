/// How interrupts are accepted, put in order, taken, and ended (SDM volume 3A, 11.8).
extension LocalAPICCore {
  /// What a processor gets that acknowledges.
  enum Acknowledgement: Equatable, Sendable {
    case none
    case vector(UInt8)
    /// The vector is the external controller's to give.
    case external
    /// Nothing has happened yet: it is the periodic timer's, and depends on the time.
    case timer
  }

  // MARK: Priorities

  /// SDM volume 3A, 11.8.3.1.
  var processorPriority: UInt8 {
    let service = inService.highest & 0xF0
    return taskPriority & 0xF0 >= service ? taskPriority : service
  }

  /// SDM volume 3A, 11.6.2.4, of the processors that have the register.
  var arbitrationPriority: UInt8 {
    let service = inService.highest & 0xF0
    let request = requested.highest & 0xF0
    let task = taskPriority & 0xF0
    if task >= request, task > service { return taskPriority }
    return max(task & service, request)
  }

  /// The vector to deliver next: one of a higher class than the processor's; 0 if there is none.
  var deliverable: UInt8 {
    let vector = requested.highest
    return vector >> 4 > processorPriority >> 4 ? vector : 0
  }

  /// Whether an external interrupt is asked for; it has no priority, and knows no task priority.
  var isExternalRequested: Bool {
    // SDM volume 3A, 11.4.3: without a local APIC, the pin is the processor's own INTR.
    guard isEnabled else { return lint0Level }
    if isExternalLatched { return true }
    guard lint0Level else { return false }
    let entry = self[.lint0]
    // The polarity is not looked at: the pin is always driven by the 8259s, which ask for nothing
    // while it is low.
    return !entry.isMasked && entry.mode == .external
  }

  /// What the processor has to look at.
  var work: LocalAPICWork {
    var work = events.work
    if isExternalRequested || deliverable != 0 { work.insert(.interrupt) }
    return work
  }

  // MARK: Acceptance

  /// Takes an interrupt that is addressed to this local APIC.
  mutating func receive(_ request: InterruptRequest) -> InterruptDelivery {
    guard isEnabled else { return .ignored }
    switch request.mode {
    case .fixed, .lowestPriority:
      // SDM volume 3A, 11.4.7.2: switched off by software, it takes only what has no vector.
      guard isSoftwareEnabled else { return .ignored }
      return accept(request.vector, isLevelTriggered: request.isLevelTriggered)
    case .external:
      guard isSoftwareEnabled else { return .ignored }
      defer { isExternalLatched = true }
      return isExternalLatched ? .coalesced : .delivered
    case .systemManagement, .nonMaskable, .initialize, .startUp:
      return receiveEvent(request.mode, vector: request.vector)
    case .reserved:
      return .ignored
    }
  }

  private mutating func receiveEvent(
    _ mode: InterruptRequest.Mode,
    vector: UInt8
  ) -> InterruptDelivery {
    let before = events
    switch mode {
    case .systemManagement: events.smi = true
    case .nonMaskable: events.nmi = true
    case .initialize:
      events = LocalAPICEvents()
      events.initReceived = true
    case .startUp:
      // A processor starts at the first and drops the others.
      if events.startUpVector == nil { events.startUpVector = vector }
    case .fixed, .lowestPriority, .external, .reserved: break
    }
    return events == before ? .coalesced : .delivered
  }

  /// Makes `vector` pending (SDM volume 3A, 11.8.4).
  mutating func accept(_ vector: UInt8, isLevelTriggered: Bool) -> InterruptDelivery {
    guard vector >= 16 else {
      record(ErrorBit.receiveIllegalVector)
      return .ignored
    }
    if isLevelTriggered { triggerMode.insert(vector) } else { triggerMode.remove(vector) }
    guard !requested.contains(vector) else {
      counters.coalesced &+= 1
      return .coalesced
    }
    requested.insert(vector)
    counters.delivered &+= 1
    return .delivered
  }

  /// Notes an error; its interrupt comes once until software has written the register
  /// (SDM volume 3A, 11.5.3).
  mutating func record(_ error: UInt8) {
    guard pendingErrors & error == 0 else { return }
    pendingErrors |= error
    let entry = self[.error]
    guard !entry.isMasked else { return }
    guard entry.vector >= 16 else {
      // An error of the error's own interrupt is noted, but cannot interrupt in turn.
      pendingErrors |= ErrorBit.receiveIllegalVector
      return
    }
    _ = accept(entry.vector, isLevelTriggered: false)
  }

  // MARK: Local sources

  /// Delivers an edge of a local source as its entry says (SDM volume 3A, 11.5.1).
  mutating func raise(_ source: LocalVector) {
    let entry = self[source]
    guard !entry.isMasked else { return }
    switch entry.mode {
    case .fixed: _ = accept(entry.vector, isLevelTriggered: false)
    case .systemManagement, .nonMaskable, .initialize: _ = receiveEvent(entry.mode, vector: 0)
    // External interrupts are levels. The others are no modes of an entry.
    case .external, .lowestPriority, .startUp, .reserved: break
    }
  }

  /// Sets the level at LINT0.
  mutating func setLINT0(_ level: Bool) {
    guard level != lint0Level else { return }
    let wasAsserted = lint0Level != self[.lint0].isActiveLow
    lint0Level = level
    guard isEnabled else { return }
    let isLevel = self[.lint0].mode == .fixed && self[.lint0].isLevelTriggered
    if isLevel { refreshLINT0() } else if !wasAsserted { raise(.lint0) }
  }

  /// Accepts a level-triggered fixed interrupt of LINT0, unless the one before is not ended.
  mutating func refreshLINT0() {
    let entry = self[.lint0]
    guard !entry.isMasked, entry.mode == .fixed, entry.isLevelTriggered, !entry.remoteIRR else {
      return
    }
    guard lint0Level != entry.isActiveLow else { return }
    guard entry.vector >= 16 else {
      record(ErrorBit.receiveIllegalVector)
      return
    }
    _ = accept(entry.vector, isLevelTriggered: true)
    self[.lint0].remoteIRR = true
  }

  /// An edge at LINT1, where the platform's NMI is.
  mutating func pulseLINT1() {
    // SDM volume 3A, 11.4.3: without a local APIC, the pin is the processor's own NMI.
    guard isEnabled else {
      events.nmi = true
      return
    }
    raise(.lint1)
  }

  // MARK: Service

  /// Answers the processor's acknowledgement (SDM volume 3A, 11.8.4).
  mutating func acknowledge() -> Acknowledgement {
    guard isExternalRequested else { return acknowledgeOwn() }
    isExternalLatched = false
    counters.acknowledged &+= 1
    return .external
  }

  /// Takes a vector of its own; `now` is the time, if it has turned out to be needed.
  mutating func acknowledgeOwn(at now: UInt64? = nil) -> Acknowledgement {
    let vector = deliverable
    guard isEnabled, vector != 0 else {
      counters.spurious &+= 1
      return .none
    }
    if timer.mode == .periodic, timer.expiry != nil, vector == self[.timer].vector {
      guard let now else { return .timer }
      // What has expired until now is one with the interrupt that is taken.
      _ = timer.advance(to: now)
    }
    requested.remove(vector)
    inService.insert(vector)
    counters.acknowledged &+= 1
    return .vector(vector)
  }

  /// Takes back the acknowledgement of an external interrupt that was gone.
  mutating func dropExternal() {
    counters.acknowledged &-= 1
    counters.spurious &+= 1
  }

  /// Ends the interrupt of the highest priority (SDM volume 3A, 11.8.5).
  mutating func endInterrupt() {
    let vector = inService.highest
    guard vector != 0 else { return }
    inService.remove(vector)
    counters.ended &+= 1
    guard triggerMode.contains(vector) else { return }
    if spurious & 1 << 12 == 0 { effects.endOfInterrupt = vector }
    guard self[.lint0].remoteIRR, self[.lint0].vector == vector else { return }
    self[.lint0].remoteIRR = false
    refreshLINT0()
  }
}
