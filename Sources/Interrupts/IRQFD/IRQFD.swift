import HostOS

/// An eventfd bound to a GSI through a source of its own.
///
/// Level: a signal asserts the source, and it stays asserted until an ``EOIFD`` or its end
/// de-asserts it. Edge: a signal is a pulse.
final class IRQFD: Sendable {
  let identity: EventFDIdentity
  let source: InterruptSource
  let isLevel: Bool
  /// What the loop knows it by.
  let token: UInt64
  private let event: EventFD

  init(
    _ identity: EventFDIdentity,
    _ event: EventFD,
    _ source: InterruptSource,
    isLevel: Bool,
    token: UInt64
  ) {
    self.identity = identity
    self.event = event
    self.source = source
    self.isLevel = isLevel
    self.token = token
  }

  /// Takes what was signalled; on the loop's thread.
  func consume() {
    guard event.drain() > 0 else { return }
    source.assert()
    if !isLevel { source.deassert() }
  }
}
