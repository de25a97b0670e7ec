import FuzzSupport
import Interrupts

/// A processor that is woken; for one thread.
final class Target: FloatingInterruptTarget, @unchecked Sendable {
  // Sendable: a fuzz target has one thread.
  var activity = ProcessorActivity.idle
  var open = FloatingInterruptClasses.all
  var wakes = 0

  func canTake(_ interruptClass: FloatingInterruptClasses) -> Bool { open.contains(interruptClass) }
  func wake() {
    require(activity != .stopped, "a stopped processor is woken")
    wakes += 1
  }
}
