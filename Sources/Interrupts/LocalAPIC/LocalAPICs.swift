public import DeviceModel
import Synchronization

/// All local APICs of a machine, and the messages between them and to them.
///
/// Any thread may deliver. No lock is held while one local APIC after the other is served; each has
/// its own.
public final class LocalAPICs: MessageTarget {
  private let apics: [LocalAPIC]
  private let line = ExternalLine()
  /// The last to win an arbitration.
  private let winner = Atomic<Int>(0)

  /// Makes `count` local APICs, 1 to 255, with their indices as IDs; the first is the boot processor's.
  ///
  /// - Parameters:
  ///   - count: How many.
  ///   - clock: What their timers run by.
  ///   - options: What they have besides what all have.
  public init(count: Int, clock: any DeviceClock, options: LocalAPICOptions = LocalAPICOptions()) {
    precondition((1...255).contains(count), "\(count) local APICs")
    precondition((36...52).contains(options.physicalAddressWidth), "\(options)")
    let line = line
    apics = (0..<UInt32(count)).map { id in
      LocalAPIC(id: id, clock: clock, line: line, options: options)
    }
    for apic in apics { apic.connect(owner: self, endOfInterrupt: nil, external: nil) }
  }

  deinit {
    for apic in apics { apic.abandon() }
  }

  /// How many there are.
  public var count: Int { apics.count }

  /// The local APIC of processor `index`, which is its ID.
  public subscript(index: Int) -> LocalAPIC { apics[index] }

  /// Says who hears of the EOIs of level-triggered interrupts, and where external vectors come from:
  /// once, before processors run.
  public func connect(
    endOfInterrupt: any EndOfInterruptTarget,
    external: any ExternalInterruptSource
  ) {
    for apic in apics {
      apic.connect(owner: self, endOfInterrupt: endOfInterrupt, external: external)
    }
  }

  /// Lets go of what was connected, and of what processors are woken by, since either may hold this
  /// in turn: at take-down.
  public func disconnect() {
    for apic in apics { apic.disconnect() }
  }

  // MARK: Pins

  /// Follows the INTR output of the 8259s, which is at LINT0 of all (SDM volume 3A, 11.5.1); those
  /// react whose entry for it is not masked.
  ///
  /// Call after the output has changed, with no lock held. What counts is the level that the source
  /// shows by then, so that two threads that overtake one another leave the right one.
  public func setExternalRequest(_ level: Bool) {
    line.set(level, of: apics[0].external)
    for apic in apics { apic.foreign { _ in } }
  }

  /// Raises the platform's NMI, which is at LINT1 of all.
  public func raiseNMI() {
    for apic in apics { apic.foreign { $0.pulseLINT1() } }
  }

  // MARK: Messages

  /// Delivers `message` (SDM volume 3A, 11.11); any thread.
  @discardableResult
  public func deliver(_ message: InterruptMessage) -> InterruptDelivery {
    guard let request = InterruptRequest(message) else { return .ignored }
    return deliver(request, from: nil)
  }

  /// Delivers an interrupt to everybody whom it is for, or to one of them.
  @discardableResult
  func deliver(_ request: InterruptRequest, from sender: LocalAPIC?) -> InterruptDelivery {
    if request.mode == .lowestPriority {
      guard let winner = arbitrate(request, from: sender) else { return .ignored }
      return receive(request, winner, from: sender)
    }
    if !request.isLogical, !request.isBroadcast {
      guard let id = Int(exactly: request.destination), id < apics.count else { return .ignored }
      return receive(request, apics[id], from: sender)
    }
    var all = InterruptDelivery.ignored
    for apic in apics where isFor(apic, request, from: sender) {
      switch receive(request, apic, from: sender) {
      case .delivered: all = .delivered
      case .coalesced where all == .ignored: all = .coalesced
      case .coalesced, .ignored: break
      }
    }
    return all
  }

  private func isFor(_ apic: LocalAPIC, _ request: InterruptRequest, from sender: LocalAPIC?)
    -> Bool
  {
    if request.shorthand == .others, apic === sender { return false }
    return apic.address.matches(request, id: apic.id)
  }

  private func receive(
    _ request: InterruptRequest,
    _ apic: LocalAPIC,
    from sender: LocalAPIC?
  ) -> InterruptDelivery {
    // The sender is at its registers, and looks at what has come when it is done there.
    if apic === sender { return apic.own { $0.receive(request) } }
    return apic.foreign { $0.receive(request) }
  }

  /// Finds the one with the lowest priority (SDM volume 3A, 11.6.2.4); of several, the next after the
  /// last to win, so that they take turns.
  private func arbitrate(_ request: InterruptRequest, from sender: LocalAPIC?) -> LocalAPIC? {
    let last = winner.load(ordering: .relaxed)
    var best: (apic: LocalAPIC, priority: UInt8)?
    for step in 1...apics.count {
      let apic = apics[(last + step) % apics.count]
      guard isFor(apic, request, from: sender), let priority = apic.arbitrationPriority else {
        continue
      }
      if best.map({ priority < $0.priority }) ?? true { best = (apic, priority) }
    }
    if let best { winner.store(Int(best.apic.id), ordering: .relaxed) }
    return best?.apic
  }
}
