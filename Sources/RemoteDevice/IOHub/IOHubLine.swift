import DeviceModel
import Interrupts

/// One device's line at a pin of a hub.
final class IOHubLine: InterruptLine {
  private let pin: IOHubPin
  // Lock order: the line's before the pin's. A rise and a fall of one line that overtook one another would
  // leave the pin's count wrong for good.
  private let isAsserted = PlaneLock(false)

  init(_ pin: IOHubPin) { self.pin = pin }

  deinit { deassert() }

  func assert() { set(true) }
  func deassert() { set(false) }

  private func set(_ level: Bool) {
    let trigger = isAsserted.withLock { isAsserted in
      guard isAsserted != level else { return nil as IOHubPin.Signal? }
      isAsserted = level
      return pin.change(level)
    }
    // Not with the line's lock held: the peer may make this take long, though not for ever.
    if let trigger { pin.send(trigger) }
  }
}
