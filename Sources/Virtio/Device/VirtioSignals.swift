public import HostOS
public import Logging
import Synchronization

/// A device's way to its driver and to the log: used buffers, changed configuration, a needed reset.
///
/// Any thread may call anything; nothing here waits. It holds the device status, so that a queue's
/// thread can change it while a vCPU's thread waits for that queue's thread in a reset.
public final class VirtioSignals: Sendable {
  /// Writes lines that the guest can cause, at a limited rate.
  public let log: LimitedLog

  private let interrupts: any VirtioInterrupts
  // A queue's thread only ever adds `needsReset`; all other changes come from the controller, one at
  // a time.
  private let bits = Atomic<UInt8>(0)
  private let changes = Atomic<UInt32>(0)
  private let states = Mutex<[Int: VirtqueueState]>([:])
  private let stateObserver = SharedAction()

  /// Makes the signals of the device that `name` stands for in the log.
  public init(_ name: String, interrupts: any VirtioInterrupts, logger: Logger) {
    self.interrupts = interrupts
    log = LimitedLog(logger, prefix: name)
  }

  /// The device status as the driver reads it.
  public var status: VirtioStatus {
    VirtioStatus(rawValue: bits.load(ordering: .acquiring))
  }

  /// Counts the changes of the configuration; the low bits are the driver's `config_generation`.
  public var configurationGeneration: UInt32 { changes.load(ordering: .acquiring) }

  /// Interrupts the guest for queue `index`; call it only if the queue's driver wants it.
  public func signalQueue(_ index: Int) {
    interrupts.signalQueue(index)
  }

  /// The eventfd that does the same, for another process to signal whether the driver wants that or not;
  /// `nil` if there is none at the time.
  public func trigger(ofQueue index: Int) -> EventFD? { interrupts.trigger(ofQueue: index) }

  /// Has `observer` called whenever ``trigger(ofQueue:)`` may have changed, or nobody any more; it must not
  /// wait.
  public func observeTriggers(_ observer: (@Sendable () -> Void)?) {
    interrupts.observeTriggers(observer)
  }

  /// The device changed its own configuration; call it after the change.
  public func configurationChanged() {
    // 2.5.3 ties the generation to what the driver could read before and after.
    changes.wrappingAdd(1, ordering: .acquiringAndReleasing)
    // 2.1.2 keeps the device silent before DRIVER_OK.
    if status.contains(.driverOK) { interrupts.signalConfigurationChange() }
  }

  /// What the device has in ``VirtioDevice/savedState`` is another now; call it after the change, and before the
  /// driver learns that there was one.
  public func stateChanged() { stateObserver() }

  /// Has `observer` called whenever the device's own state has changed.
  func observeState(_ observer: (@Sendable () -> Void)?) {
    stateObserver.set(observer)
  }

  /// The device cannot go on with this driver: sets `DEVICE_NEEDS_RESET` and logs the first reason.
  public func needsReset(_ reason: @autoclosure () -> String) {
    let before = insert(.needsReset)
    guard !before.contains(.needsReset) else { return }
    log.warning("needs a reset: \(reason())")
    // 2.1.2 has the driver told, if it is running.
    if before.contains(.driverOK) { interrupts.signalConfigurationChange() }
  }

  /// Sets bits, and returns the status before.
  @discardableResult
  func insert(_ status: VirtioStatus) -> VirtioStatus {
    let before = bits.bitwiseOr(status.rawValue, ordering: .acquiringAndReleasing).oldValue
    return VirtioStatus(rawValue: before)
  }

  /// The driver is ready, of a transport without a status register of its own.
  package func begin() { insert(.driverOK) }

  /// Notes where queue `index` stood when it was last stopped.
  func noteState(_ state: VirtqueueState, of index: Int) {
    states.withLock { $0[index] = state }
  }

  /// Where queue `index` stood when it was last stopped, if it was since the last time of asking.
  package func takeState(of index: Int) -> VirtqueueState? {
    states.withLock { $0.removeValue(forKey: index) }
  }

  /// Back to the state of a device that nobody has touched; its threads have ended.
  package func reset() {
    interrupts.reset()
    bits.store(0, ordering: .releasing)
  }

  /// Goes on where another device stood; its threads do not run yet.
  func restore(_ status: VirtioStatus, generation: UInt32) {
    changes.store(generation, ordering: .releasing)
    bits.store(status.rawValue, ordering: .releasing)
  }

  /// Tells a driver that has just become ready that the device was broken before it was.
  func announceNeededReset() {
    interrupts.signalConfigurationChange()
  }
}
