/// What a processor is doing.
public enum ProcessorActivity: Equatable, Sendable {
  /// It takes no interrupts.
  case stopped
  /// It executes instructions.
  case running
  /// It waits for an interrupt.
  case idle
}

/// A processor that takes floating interrupts.
///
/// Calls come on the threads that enqueue, with no lock of the controller held. A processor becomes
/// idle in two steps: it says so, and then it looks whether anything has become pending
/// (``FloatingInterruptController/hasInterrupt(for:)``). Whoever enqueues does the opposite, so that
/// one of them sees the other. It looks likewise after it has opened its masks.
public protocol FloatingInterruptTarget: AnyObject, Sendable {
  /// What the processor is doing.
  var activity: ProcessorActivity { get }
  /// Whether its masks let it take interrupts of `interruptClass`, which is one class.
  func canTake(_ interruptClass: FloatingInterruptClasses) -> Bool
  /// Makes it look for pending interrupts: ends its waiting, or interrupts its running.
  func wake()
}
