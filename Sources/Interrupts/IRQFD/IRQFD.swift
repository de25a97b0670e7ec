import HostOS

/// An eventfd bound to a GSI through a source of its own.
///
/// Level: a signal asserts the source, and it stays asserted until an ``EOIFD`` or its end
/// de-asserts it. Edge: a signal is a pulse.
final class IRQFD: Sendable {
  let source: InterruptSource
  let isLevel: Bool
  /// What the loop knows it by.
  let token: UInt64
  let event: EventFD
  // Held while a signal is taken: whoever has ended the binding knows that none is any more.
  private let isBound = PlaneLock(true)

  init(_ event: EventFD, _ source: InterruptSource, isLevel: Bool, token: UInt64) {
    self.event = event
    self.source = source
    self.isLevel = isLevel
    self.token = token
  }

  /// Takes what was signalled; on the loop's thread.
  func consume() {
    guard isBound.withLock({ $0 && event.drain() > 0 }) else { return }
    source.assert()
    if !isLevel { source.deassert() }
  }

  /// Leaves signals in the eventfd from here on, for its next user.
  func end() { isBound.withLock { $0 = false } }
}
