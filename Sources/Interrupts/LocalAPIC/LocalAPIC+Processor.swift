import DeviceModel

/// What the processor's own thread calls.
extension LocalAPIC {
  /// Whether there is anything to look at: one atomic load.
  public var hasWork: Bool { !work.isEmpty }

  /// Whether something has come that no interrupt flag holds off: one atomic load.
  public var hasEvents: Bool { !work.subtracting(.interrupt).isEmpty }

  /// Whether an interrupt could be taken now, if the interrupt flag allows: a vector above the
  /// processor's priority, or an external one; one atomic load.
  public var hasInterrupt: Bool { work.contains(.interrupt) }

  /// Takes what has come past the interrupt flag, once.
  public func takeEvents() -> LocalAPICEvents {
    guard !work.subtracting(.interrupt).isEmpty else { return LocalAPICEvents() }
    return own { core in
      defer { core.events = LocalAPICEvents() }
      return core.events
    }
  }

  /// Acknowledges as the processor's INTA does; `nil` if there is nothing to deliver any more.
  ///
  /// An external interrupt goes first. A task priority that rises withdraws the interrupts below it
  /// before the processor can acknowledge them, so that the spurious vector (SDM volume 3A, 11.9) is
  /// never needed here; that of the 8259s can come.
  public func acknowledgeInterrupt() -> UInt8? {
    var taken = own { $0.acknowledge() }
    if taken == .external {
      let source = external
      if let source, source.isRequesting { return source.acknowledge() }
      // Another processor was faster.
      refreshLine(of: source)
      taken = own { core in
        core.dropExternal()
        return core.acknowledgeOwn()
      }
    }
    if taken == .timer {
      let now = clock.monotonic
      taken = own { $0.acknowledgeOwn(at: now) }
    }
    guard case .vector(let vector) = taken else { return nil }
    return vector
  }

  /// The task priority register, all eight bits (SDM volume 3A, 11.8.3.1).
  public var taskPriority: UInt8 {
    get { look { $0.taskPriority } }
    set { own { $0.taskPriority = newValue } }
  }

  /// CR8, the upper half of ``taskPriority`` (SDM volume 3A, 11.8.6.1); only its low four bits count.
  public var cr8: UInt64 {
    get { UInt64(taskPriority >> 4) }
    set { taskPriority = UInt8(newValue & 0xF) << 4 }
  }

  /// Switches a local APIC on, as firmware leaves that of the boot processor: external interrupts at
  /// LINT0, NMI at LINT1 (MultiProcessor Specification 1.4, 3.6.2.2, "virtual wire mode").
  public func enterVirtualWireMode() {
    let now = clock.monotonic
    own { core in
      core.writePage(0x0F, 0x1FF, at: now)
      core.writePage(0x35, 0x700, at: now)
      core.writePage(0x36, 0x400, at: now)
    }
  }

  /// As after power-up (SDM volume 3A, 11.4.7.1).
  public func reset() { own { $0.reset() } }

  /// As after INIT (SDM volume 3A, 11.4.7.3): base, mode and ID stay, and so does what has come for
  /// the processor since.
  public func initialize() { own { $0.resetRegisters() } }

  /// Tells how the processor's time-stamp counter runs: before it starts, and when the guest sets it.
  ///
  /// Until then it counts at 1 GHz from the clock's zero.
  public func setTimestampCounter(_ counter: TimestampCounter) {
    let now = clock.monotonic
    own { core in
      core.advanceTimer(to: now)
      core.timer.setCounter(counter)
      core.advanceTimer(to: now)
    }
  }

  /// What has happened so far; any thread.
  public var counters: LocalAPICCounters { look { $0.counters } }
}
