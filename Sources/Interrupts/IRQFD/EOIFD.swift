import HostOS

/// An eventfd that is signalled at the end of a level irqfd's interrupt.
///
/// It holds the irqfd's source: either of the two may go first, and the other still means the same.
final class EOIFD: Sendable {
  let identity: EventFDIdentity
  private let event: EventFD
  private let source: InterruptSource
  /// The irqfd's eventfd, kept open because the kernel gives the number of one that is gone to the next.
  private let irqfd: EventFD

  init(_ identity: EventFDIdentity, _ event: EventFD, of irqfd: IRQFD) {
    self.identity = identity
    self.event = event
    self.irqfd = irqfd.event
    source = irqfd.source
  }

  /// From here on the end of the interrupt de-asserts the source and signals the eventfd.
  func bind() throws(InterruptError) {
    // A full count stays as it is: an owner that never answers costs the others nothing.
    try source.bind { [event] in event.signal() }
  }

  /// Undoes ``bind()``.
  func unbind() { try? source.bind(nil) }
}
