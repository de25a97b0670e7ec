/// The floating interrupt controller of an s390 guest: interrupts that any of its processors may take.
///
/// It holds service signals, machine checks of the channel subsystem, completed page faults, virtio
/// and I/O interrupts, from whoever enqueues them until a processor takes them, or somebody deletes
/// them. Each class is first in, first out; adding and taking cost the same however many are pending.
///
/// A VM has one, in its ``FLICSlot``. Any thread may call anything. One lock guards all state, and
/// nothing outside is called with it held.
public final class FloatingInterruptController: Sendable {
  struct State {
    var pending = PendingInterrupts()
    var adapters = InlineArray<64, IOAdapter?>(repeating: nil)
    var suppression = AdapterSuppression()
    var allowsPageFaults = false
    var targets: [any FloatingInterruptTarget] = []
    /// The processor whose turn is next.
    var turn = 0
    var isDestroyed = false
  }

  let configuration: FLICConfiguration
  let state = PlaneLock(State())

  init(_ configuration: FLICConfiguration) {
    let limit = configuration.ioLimit + configuration.virtioLimit + configuration.pageFaultLimit
    precondition(limit < Int(UInt32.max), "\(limit) interrupts")
    self.configuration = configuration
  }

  /// Runs `body` unless the controller was destroyed.
  func withState<Result>(
    _ body: (inout sending State) throws(FLICError) -> sending Result
  ) throws(FLICError) -> sending Result {
    try state.withLock { (state) throws(FLICError) -> sending Result in
      guard !state.isDestroyed else { throw .destroyed }
      return try body(&state)
    }
  }

  /// Ends all that the controller does, and lets go of all that it has.
  func retire() {
    // What the targets' ends set off must find the lock free.
    let targets = state.withLock { state in
      let targets = state.targets
      state = State()
      state.isDestroyed = true
      return targets
    }
    _ = consume targets
  }

  // MARK: Processors

  /// Adds a processor to those that are woken, at the end of the turn.
  public func attach(_ target: any FloatingInterruptTarget) {
    state.withLock { if !$0.isDestroyed { $0.targets.append(target) } }
  }

  /// Removes a processor from those that are woken; a wake that is under way may still come.
  public func detach(_ target: any FloatingInterruptTarget) {
    state.withLock { state in
      state.targets.removeAll { $0 === target }
      state.turn = 0
    }
  }

  // MARK: Interrupts

  /// How many interrupts are pending.
  public var pendingCount: Int { state.withLock { $0.pending.count } }
  /// The classes of which something is pending.
  public var pendingClasses: FloatingInterruptClasses { state.withLock { $0.pending.classes } }
  /// All that is pending, first to last within a class; it remains pending.
  public var pending: [FloatingInterrupt] { state.withLock { $0.pending.all() } }

  /// Adds an interrupt, and wakes a processor for it.
  ///
  /// - Returns: `.coalesced` if the guest will see it and one that was pending as one.
  /// - Throws: ``FLICError/busy`` if as many of its class as may be are pending.
  @discardableResult
  public func enqueue(_ interrupt: FloatingInterrupt) throws(FLICError) -> InterruptDelivery {
    let limits = configuration
    let (delivery, targets) = try withState { (state) throws(FLICError) in
      try state.pending.checkRoom(for: interrupt, limits)
      return (state.pending.add(interrupt), state.targets)
    }
    wake(targets, for: interrupt.interruptClass)
    return delivery
  }

  /// Adds all of `interrupts` or, if there is an error, none, and wakes processors for them.
  ///
  /// - Throws: ``FLICError/busy`` if that would make more of a class pending than may be.
  public func enqueue(contentsOf interrupts: [FloatingInterrupt]) throws(FLICError) {
    let limits = configuration
    let targets = try withState { (state) throws(FLICError) in
      try state.pending.checkRoom(for: interrupts, limits)
      for interrupt in interrupts { _ = state.pending.add(interrupt) }
      return state.targets
    }
    wake(targets, for: interrupts)
  }

  /// Takes out the interrupt that a processor without masks would take next.
  public func dequeue() -> FloatingInterrupt? {
    state.withLock { $0.pending.takeFirst() }
  }

  /// Deletes all that is pending.
  public func clear() {
    let old = state.withLock { state in
      let old = state.pending
      state.pending.removeAll()
      return old
    }
    // Its memory is given back with the lock free.
    _ = consume old
  }

  /// Deletes one pending I/O interrupt of a subchannel, if there is one; O(pending I/O interrupts).
  public func clear(subsystemID: UInt32) {
    state.withLock { $0.pending.remove(subsystemID: subsystemID) }
  }

  // MARK: Page faults

  /// Whether the host may complete page faults while the guest runs.
  public var allowsPageFaults: Bool { state.withLock { $0.allowsPageFaults } }
}
