public import DeviceModel

/// The registers as the guest gets at them.
extension LocalAPIC {
  /// Whether the page is there: switched on, and not in x2APIC mode.
  public var hasPage: Bool { look { $0.hasPage } }

  /// Reads from the page.
  ///
  /// Registers have 32 bits at multiples of 16 bytes. The manual leaves other accesses open (SDM volume
  /// 3A, 11.4.1): they read the bytes of a register that they cover, and zeros. While the page is not
  /// there, nobody answers, and all bits read as ones.
  public func read(_ access: BusAccess) -> UInt64 {
    let ones = access.width >= 8 ? UInt64.max : 1 << UInt64(8 * max(access.width, 0)) &- 1
    let number = Self.number(access)
    // Only the current count tells the time.
    let now = number == 0x39 ? clock.monotonic : 0
    return own { core in
      guard core.hasPage else { return ones }
      core.advanceTimer(to: now)
      let value = UInt64(core.readPage(number, at: now))
      // A shift by 64 or more leaves nothing.
      return value >> (access.offset & 0xF * 8) & ones
    }
  }

  /// Writes to the page; other than 32 bits at a multiple of 16 bytes changes no register.
  public func write(_ value: UInt64, _ access: BusAccess) {
    guard access.width == 4, access.offset & 0xF == 0 else { return }
    let number = Self.number(access)
    let now = time(for: number)
    own { core in
      guard core.hasPage else { return }
      core.writePage(number, UInt32(truncatingIfNeeded: value), at: now)
    }
  }

  private static func number(_ access: BusAccess) -> Int { Int(access.offset & 0xFFF) >> 4 }

  /// The time, if a write to the register depends on it.
  private func time(for number: Int) -> UInt64 {
    LocalAPICRegister(number: number, hasCMCI: true)?.needsTime == true ? clock.monotonic : 0
  }

  /// Reads an MSR from 0x800 to 0x8FF (SDM volume 3A, 11.12.1.2).
  ///
  /// - Throws: ``MSRFault`` outside of x2APIC mode, for a register that does not exist, and for one
  ///   that can only be written.
  public func readMSR(_ index: UInt32) throws(MSRFault) -> UInt64 {
    guard let number = Self.number(index) else { throw MSRFault(index) }
    let now = time(for: number)
    let value = own { core in
      core.advanceTimer(to: now)
      return core.readMSR(number, at: now)
    }
    guard let value else { throw MSRFault(index) }
    return value
  }

  /// Writes an MSR from 0x800 to 0x8FF (SDM volume 3A, 11.12.1.3).
  ///
  /// - Throws: ``MSRFault`` outside of x2APIC mode, for a register that does not exist or can only be
  ///   read, and for reserved bits.
  public func writeMSR(_ index: UInt32, _ value: UInt64) throws(MSRFault) {
    guard let number = Self.number(index) else { throw MSRFault(index) }
    let now = time(for: number)
    guard own({ $0.writeMSR(number, value, at: now) }) else { throw MSRFault(index) }
  }

  private static func number(_ index: UInt32) -> Int? {
    (0x800...0x8FF).contains(index) ? Int(index - 0x800) : nil
  }

  /// IA32_APIC_BASE (MSR 0x1B): where the page is, the BSP flag, and whether and how the local APIC is
  /// switched on.
  public var base: UInt64 { look { $0.base } }

  /// Writes IA32_APIC_BASE (SDM volume 3A, 11.4.4).
  ///
  /// - Throws: ``MSRFault`` for reserved bits, and for a step between modes that there is not
  ///   (11.12.5).
  public func writeBase(_ value: UInt64) throws(MSRFault) {
    guard own({ $0.setBase(value) }) else { throw MSRFault(0x1B) }
  }

  /// IA32_TSC_DEADLINE (MSR 0x6E0): 0 reads as disarmed, and a write in another timer mode is ignored
  /// (SDM volume 3A, 11.5.4.1).
  public var tscDeadline: UInt64 {
    get {
      let now = clock.monotonic
      return own { core in
        core.advanceTimer(to: now)
        return core.timer.timestampDeadline
      }
    }
    set {
      let now = clock.monotonic
      own { core in
        core.advanceTimer(to: now)
        core.timer.setTimestampDeadline(newValue)
        core.advanceTimer(to: now)
      }
    }
  }
}
