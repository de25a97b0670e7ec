public import HostOS

/// A level-triggered line from one device towards an interrupt controller.
///
/// Each user of a shared pin has a line of its own; the pin is the OR of its lines. Both calls are
/// idempotent and may come from any thread.
public protocol InterruptLine: AnyObject, Sendable {
  /// Raises the line, until ``deassert()``.
  func assert()
  /// Lowers the line.
  func deassert()
}

/// A line that leads nowhere, for a device whose pin is not wired up.
public final class UnconnectedLine: InterruptLine {
  /// Makes a line that nobody listens to.
  public init() {}
  /// Does nothing.
  public func assert() {}
  /// Does nothing.
  public func deassert() {}
}

/// A message-signalled interrupt: the memory write that a device would make (PCI 3.0, 6.8).
public struct InterruptMessage: Hashable, Sendable {
  /// The address to write to; on x86, in the local APICs' window at 0xFEE0_0000.
  public var address: UInt64
  /// The value to write; on x86, vector and delivery mode.
  public var data: UInt32

  /// Describes the write of `data` to `address`.
  public init(address: UInt64, data: UInt32) {
    self.address = address
    self.data = data
  }
}

/// One message-signalled interrupt of a device, routed to the guest by whoever made it.
///
/// The device signals from any thread; the owner of the message (an MSI-X table) reroutes it while
/// the device runs.
public protocol MessageInterrupt: AnyObject, Sendable {
  /// The eventfd that delivers the message when signalled; what another process may be handed.
  var trigger: EventFD { get }
  /// Changes what is delivered; `nil` unplugs the eventfd, so that signals wait in it undelivered.
  func route(to message: InterruptMessage?) throws
  /// Interrupts, or notes that it would have.
  func signal()
  /// Whether signals wait undelivered, which are then taken; asked only while nothing is routed.
  func takePending() -> Bool
  /// Whether signals wait that stay for whoever is to have them, and not for the table;
  /// `nil` where ``takePending()`` tells.
  var keepsPending: Bool? { get }
}

extension MessageInterrupt {
  /// Signals the eventfd.
  public func signal() { trigger.signal() }
  /// Takes what waits in the eventfd.
  public func takePending() -> Bool { trigger.drain() > 0 }
  /// The table has them.
  public var keepsPending: Bool? { nil }
}

/// Makes message-signalled interrupts: the machine's interrupt controller, or a test's fake.
public protocol MessageInterruptAllocator: AnyObject, Sendable {
  /// Makes an interrupt that delivers nothing until it is routed.
  func makeMessageInterrupt() throws -> any MessageInterrupt
}
