public import DeviceModel
import Synchronization

/// The local APIC of one processor, xAPIC and x2APIC (SDM volume 3A, chapter 11).
///
/// As a ``BusDevice`` it is the 4 KiB page of registers, for the bus of its own vCPU: where IA32_APIC_BASE
/// has put it (``hasPage``). Its owner is ``LocalAPICs``, which must live as long as processors run.
/// Accesses, MSRs, and everything under "processor" are for the vCPU's own thread, which looks at
/// ``hasWork`` each time before it enters the guest; what comes from elsewhere meanwhile wakes it.
/// One lock guards all of it, and no two such locks are ever held at once. Nothing is called with it
/// held.
///
/// The timer counts at ``busFrequency``. Thermal, performance and CMCI have entries in the local vector
/// table, but no source in a virtual machine.
public final class LocalAPIC: BusDevice {
  /// How fast the timer counts before it is divided, in Hz: 1 ns a tick.
  public static var busFrequency: UInt64 { 1_000_000_000 }

  /// What the lock guards.
  struct Shared: Sendable {
    var core: LocalAPICCore
    var wake: (@Sendable () -> Void)?
    var endOfInterrupt: (any EndOfInterruptTarget)?
    var external: (any ExternalInterruptSource)?
    // Not weak: that would make each use of the owner slower. It lets go of itself here before it goes.
    unowned var owner: LocalAPICs?
  }

  /// What is done after the lock is released.
  struct Deeds {
    var effects: LocalAPICCore.Effects
    /// Set if there is something new to look at.
    var wake: (@Sendable () -> Void)?
    var endOfInterrupt: (any EndOfInterruptTarget)?
    var owner: LocalAPICs?
  }

  /// The APIC ID, fixed: writes to the register are ignored, as the manual allows (SDM volume 3A,
  /// 11.4.6).
  public let id: UInt32

  let clock: any DeviceClock
  private let timer: any DeviceTimer
  private let link = TimerLink()
  private let line: ExternalLine
  private let shared: PlaneLock<Shared>
  // Both are written under the lock, and read by anybody.
  private let publishedWork = Atomic<UInt8>(0)
  private let publishedAddress = Atomic<UInt64>(0)

  init(id: UInt32, clock: any DeviceClock, line: ExternalLine, options: LocalAPICOptions) {
    self.id = id
    self.clock = clock
    self.line = line
    timer = clock.makeTimer()
    let counter = TimestampCounter(frequency: 1_000_000, value: 0, moment: 0)
    let core = LocalAPICCore(id: id, options: options, counter: counter)
    publishedAddress.store(core.address.rawValue, ordering: .relaxed)
    shared = PlaneLock(Shared(core: core))
    timer.whenExpired { [link] in link.apic?.timerExpired() }
    link.apic = self
  }

  deinit { timer.disarm() }

  // MARK: The lock

  /// Runs `body` on the registers and collects what follows from it.
  private func change<Result: Sendable>(
    isOwn: Bool,
    _ body: (inout LocalAPICCore) -> Result
  ) -> (result: Result, deeds: Deeds?) {
    shared.withLock { shared in
      // The newest level, whichever thread brought it: two that overtake one another do no harm.
      shared.core.setLINT0(line.level)
      let result = body(&shared.core)
      return (result, settle(&shared, isOwn: isOwn))
    }
  }

  /// Publishes what has changed, and finds what is to be done; `nil` if that is nothing.
  private func settle(_ shared: inout Shared, isOwn: Bool) -> Deeds? {
    shared.core.settleTimer()
    let address = shared.core.address.rawValue
    if address != publishedAddress.load(ordering: .relaxed) {
      publishedAddress.store(address, ordering: .releasing)
    }
    let before = LocalAPICWork(rawValue: publishedWork.load(ordering: .relaxed))
    let after = shared.core.work
    if after != before { publishedWork.store(after.rawValue, ordering: .sequentiallyConsistent) }

    let wakes = !isOwn && after.rawValue & ~before.rawValue != 0
    guard wakes || !shared.core.effects.isEmpty else { return nil }
    var deeds = Deeds(effects: shared.core.effects)
    shared.core.effects = LocalAPICCore.Effects()
    if wakes { deeds.wake = shared.wake }
    if deeds.effects.endOfInterrupt != nil { deeds.endOfInterrupt = shared.endOfInterrupt }
    if deeds.effects.request != nil { deeds.owner = shared.owner }
    return deeds
  }

  private func act(on deeds: Deeds) {
    if deeds.effects.timerChanged { armTimer() }
    if let vector = deeds.effects.endOfInterrupt {
      deeds.endOfInterrupt?.endOfInterrupt(vector: vector)
    }
    if let request = deeds.effects.request { deeds.owner?.deliver(request, from: self) }
  }

  /// A look at the registers that changes nothing.
  func look<Result: Sendable>(_ body: (borrowing LocalAPICCore) -> Result) -> Result {
    shared.withLock { body($0.core) }
  }

  /// A change by the processor itself, which needs no waking to see it.
  @discardableResult
  func own<Result: Sendable>(_ body: (inout LocalAPICCore) -> Result) -> Result {
    let (result, deeds) = change(isOwn: true, body)
    if let deeds { act(on: deeds) }
    return result
  }

  /// A change by anybody else.
  @discardableResult
  func foreign<Result: Sendable>(_ body: (inout LocalAPICCore) -> Result) -> Result {
    let (result, deeds) = change(isOwn: false, body)
    if let deeds {
      act(on: deeds)
      deeds.wake?()
    }
    return result
  }

  // MARK: Timer

  private func timerExpired() {
    let now = clock.monotonic
    foreign { core in
      core.armedDeadline = nil
      core.advanceTimer(to: now)
    }
  }

  /// Sets the host's timer, again if another thread has changed what it is to be meanwhile.
  private func armTimer() {
    while true {
      let (deadline, generation) = shared.withLock {
        ($0.core.armedDeadline, $0.core.timerGeneration)
      }
      if let deadline { timer.arm(at: deadline) } else { timer.disarm() }
      guard shared.withLock({ $0.core.timerGeneration }) != generation else { return }
    }
  }

  // MARK: For the owner

  /// What it answers to, read without its lock.
  var address: LocalAPICAddress {
    LocalAPICAddress(rawValue: publishedAddress.load(ordering: .acquiring))
  }

  /// What of it there is to look at, read without its lock.
  var work: LocalAPICWork {
    LocalAPICWork(rawValue: publishedWork.load(ordering: .sequentiallyConsistent))
  }

  /// Its priority in an arbitration; `nil` if it takes no part.
  var arbitrationPriority: UInt8? {
    look { $0.isSoftwareEnabled ? $0.processorPriority : nil }
  }

  func connect(
    owner: LocalAPICs?,
    endOfInterrupt: (any EndOfInterruptTarget)?,
    external: (any ExternalInterruptSource)?
  ) {
    shared.withLock { shared in
      shared.owner = owner
      shared.endOfInterrupt = endOfInterrupt
      shared.external = external
    }
  }

  /// The owner goes: no messages and no timer from here on.
  func abandon() {
    link.apic = nil
    timer.disarm()
    shared.withLock { $0.owner = nil }
  }

  /// Lets go of everything that may lead back to its owner.
  func disconnect() {
    shared.withLock { shared in
      shared.wake = nil
      shared.endOfInterrupt = nil
      shared.external = nil
    }
  }

  /// Looks again at the level that `source` drives.
  func refreshLine(of source: (any ExternalInterruptSource)?) { line.set(false, of: source) }

  /// Where external vectors come from.
  var external: (any ExternalInterruptSource)? { shared.withLock { $0.external } }

  /// Calls `action` when the processor must look: an interrupt has become deliverable, or an NMI,
  /// SMI, INIT or start-up IPI has come.
  ///
  /// Any thread calls it, with no lock held; it is not called for what the processor's own accesses
  /// bring about. Set it before the processor runs.
  public func whenWoken(_ action: @escaping @Sendable () -> Void) {
    shared.withLock { $0.wake = action }
  }
}
