/// The registers as a guest reads and writes them, in the page or as MSRs.
extension LocalAPICCore {
  // MARK: Reading

  /// SDM volume 3A, 11.4.8: an integrated local APIC, how many entries its table has, less one, and
  /// whether broadcasts of EOIs can be turned off.
  private var version: UInt32 {
    let entries: UInt32 = options.hasCMCI ? 7 : 6
    return 0x14 | (entries - 1) << 16 | (options.suppressesEOIBroadcast ? 1 << 24 : 0)
  }

  private func value(_ register: LocalAPICRegister, at now: UInt64) -> UInt32 {
    switch register {
    case .id: isX2APIC ? id : id << 24
    case .version: version
    case .taskPriority: UInt32(taskPriority)
    case .arbitrationPriority: UInt32(arbitrationPriority)
    case .processorPriority: UInt32(processorPriority)
    case .endOfInterrupt, .remoteRead, .selfInterrupt: 0
    case .logicalDestination: effectiveLogicalDestination
    case .destinationFormat: destinationFormat
    case .spurious: spurious
    case .inService(let index): inService[index]
    case .triggerMode(let index): triggerMode[index]
    case .requested(let index): requested[index]
    case .errorStatus: UInt32(errorStatus)
    case .command: UInt32(truncatingIfNeeded: command)
    case .commandHigh: UInt32(truncatingIfNeeded: command >> 32)
    case .vector(let vector): self[vector].rawValue
    case .initialCount: timer.initialCount
    case .currentCount: timer.currentCount(at: now)
    case .divideConfiguration: timer.divideConfiguration
    }
  }

  /// Reads a register of the page; an address where there is none is an error and reads as zero
  /// (SDM volume 3A, 11.5.3).
  mutating func readPage(_ number: Int, at now: UInt64) -> UInt32 {
    guard let register = LocalAPICRegister(number: number, hasCMCI: options.hasCMCI),
      !register.isOfX2APICOnly
    else {
      record(ErrorBit.illegalRegister)
      return 0
    }
    return value(register, at: now)
  }

  /// Reads an MSR; `nil` is a #GP(0) (SDM volume 3A, 11.12.1.2).
  func readMSR(_ number: Int, at now: UInt64) -> UInt64? {
    guard isX2APIC, let register = LocalAPICRegister(number: number, hasCMCI: options.hasCMCI)
    else {
      return nil
    }
    switch register {
    // The first two are write-only; the others exist in the page alone.
    case .endOfInterrupt, .selfInterrupt: return nil
    case .arbitrationPriority, .remoteRead, .destinationFormat, .commandHigh: return nil
    case .command: return command
    default: return UInt64(value(register, at: now))
    }
  }

  // MARK: Writing

  /// Writes a register of the page.
  ///
  /// What is read-only stays as it is, and an address where there is no register is an error (SDM volume
  /// 3A, 11.5.3).
  mutating func writePage(_ number: Int, _ value: UInt32, at now: UInt64) {
    guard let register = LocalAPICRegister(number: number, hasCMCI: options.hasCMCI),
      !register.isOfX2APICOnly
    else { return record(ErrorBit.illegalRegister) }
    switch register {
    case .logicalDestination: logicalDestination = value & 0xFF00_0000
    case .destinationFormat: destinationFormat = value | 0x0FFF_FFFF
    case .command:
      // Reserved bits and the delivery status read as zero.
      command = command & ~0xFFFF_FFFF | UInt64(value & 0x000C_CFFF)
      send()
    case .commandHigh: command = command & 0xFFFF_FFFF | UInt64(value & 0xFF00_0000) << 32
    default: write(register, value, at: now)
    }
  }

  /// Writes an MSR; false is a #GP(0) (SDM volume 3A, 11.12.1.3).
  mutating func writeMSR(_ number: Int, _ value: UInt64, at now: UInt64) -> Bool {
    guard isX2APIC, let register = LocalAPICRegister(number: number, hasCMCI: options.hasCMCI)
    else {
      return false
    }
    if case .command = register {
      // SDM volume 3A, 11.12.9. The delivery status is gone; processors take the bit and drop it.
      guard value & 0xFFF3_2000 == 0 else { return false }
      command = value & ~(1 << 12)
      send()
      return true
    }
    guard let word = UInt32(exactly: value), let allowed = register.allowed(options),
      word & ~allowed == 0
    else { return false }
    write(register, word, at: now)
    return true
  }

  private mutating func write(_ register: LocalAPICRegister, _ value: UInt32, at now: UInt64) {
    if register.needsTime { advanceTimer(to: now) }
    switch register {
    case .taskPriority: taskPriority = UInt8(truncatingIfNeeded: value)
    case .endOfInterrupt: endInterrupt()
    case .spurious: setSpurious(value)
    case .errorStatus:
      // SDM volume 3A, 11.5.3: any write shows what was noted, and lets errors interrupt again.
      errorStatus = pendingErrors
      pendingErrors = 0
    case .vector(let vector): setEntry(vector, value)
    case .initialCount: timer.setInitialCount(value, at: now)
    case .divideConfiguration: timer.setDivideConfiguration(value, at: now)
    case .selfInterrupt: send(InterruptRequest(self: UInt8(truncatingIfNeeded: value)))
    // Those that differ between page and MSR are not written here; all others are read-only.
    default: break
    }
  }

  private mutating func setSpurious(_ value: UInt32) {
    spurious = value & (0x3FF | (options.suppressesEOIBroadcast ? 1 << 12 : 0))
    guard !isSoftwareEnabled else { return }
    // SDM volume 3A, 11.4.7.2: all of the table is masked, and stays so.
    for vector in LocalVector.allCases { self[vector].isMasked = true }
  }

  private mutating func setEntry(_ vector: LocalVector, _ value: UInt32) {
    let kept = self[vector].rawValue & ~vector.writable & vector.defined
    self[vector].rawValue = kept | value & vector.writable
    if !isSoftwareEnabled { self[vector].isMasked = true }
    switch vector {
    case .timer: timer.setMode(LocalAPICTimer.Mode(entry: value))
    case .lint0:
      // The flag means something only to a level-triggered fixed interrupt.
      if self[.lint0].mode != .fixed || !self[.lint0].isLevelTriggered {
        self[.lint0].remoteIRR = false
      }
      refreshLINT0()
    case .thermal, .performance, .lint1, .error, .cmci: break
    }
  }

  // MARK: IPIs

  private mutating func send() {
    guard let request = InterruptRequest(command: command, isX2APIC: isX2APIC) else { return }
    send(request)
  }

  private mutating func send(_ request: InterruptRequest) {
    // SDM volume 3A, 11.5.3: the error is noted here, and by whoever receives it all the same.
    if request.hasVector, request.vector < 16 { record(ErrorBit.sendIllegalVector) }
    // One to this processor alone needs nobody else.
    if request.shorthand == .ownself {
      // SDM volume 3A, table 11-3: only a fixed interrupt can be sent to oneself so. Guests send NMIs all the
      // same, which harms nobody; a processor that reset itself would be another matter.
      if request.mode != .initialize, request.mode != .startUp { _ = receive(request) }
    } else {
      effects.request = request
    }
  }
}

extension LocalAPICRegister {
  fileprivate var isOfX2APICOnly: Bool {
    if case .selfInterrupt = self { true } else { false }
  }

  /// The bits that may be set in a write to the MSR; `nil` if there is no writing it.
  fileprivate func allowed(_ options: LocalAPICOptions) -> UInt32? {
    switch self {
    case .taskPriority, .selfInterrupt: 0xFF
    case .endOfInterrupt, .errorStatus: 0
    case .spurious: 0x3FF | (options.suppressesEOIBroadcast ? 1 << 12 : 0)
    case .vector(let vector): vector.defined
    case .initialCount: .max
    case .divideConfiguration: 0xB
    default: nil
    }
  }
}
