public import HostOS
import Synchronization
public import Virtio

/// A transport's interrupts that a test can look into.
public final class RecordingInterrupts: VirtioInterrupts {
  private struct State {
    var queues: [Int: Int] = [:]
    var changes = 0
    var resets = 0
    var triggers: [Int: EventFD] = [:]
    var observer: (@Sendable () -> Void)?
  }

  private let state = Mutex(State())

  /// Makes interrupts that nobody has signalled.
  public init() {}

  /// How often queue `index` was signalled.
  public func count(of index: Int) -> Int { state.withLock { $0.queues[index, default: 0] } }
  /// How often a configuration change was signalled.
  public var changes: Int { state.withLock { $0.changes } }
  /// How often the device was reset.
  public var resets: Int { state.withLock { $0.resets } }

  /// As it was last set.
  public func trigger(ofQueue index: Int) -> EventFD? { state.withLock { $0.triggers[index] } }
  /// Sets the eventfd of a queue, as a driver that changes its vectors does.
  public func setTrigger(_ trigger: EventFD?, ofQueue index: Int) {
    state.withLock { state in
      state.triggers[index] = trigger
      return state.observer
    }?()
  }
  /// Keeps the observer.
  public func observeTriggers(_ observer: (@Sendable () -> Void)?) {
    state.withLock { $0.observer = observer }
  }

  /// Counts the signal.
  public func signalQueue(_ index: Int) { state.withLock { $0.queues[index, default: 0] += 1 } }
  /// Counts the signal.
  public func signalConfigurationChange() { state.withLock { $0.changes += 1 } }
  /// Counts the reset.
  public func reset() { state.withLock { $0.resets += 1 } }
}
