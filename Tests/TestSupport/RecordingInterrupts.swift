import Synchronization
public import Virtio

/// A transport's interrupts that a test can look into.
public final class RecordingInterrupts: VirtioInterrupts {
  private struct State {
    var queues: [Int: Int] = [:]
    var changes = 0
    var resets = 0
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

  /// Counts the signal.
  public func signalQueue(_ index: Int) { state.withLock { $0.queues[index, default: 0] += 1 } }
  /// Counts the signal.
  public func signalConfigurationChange() { state.withLock { $0.changes += 1 } }
  /// Counts the reset.
  public func reset() { state.withLock { $0.resets += 1 } }
}
