/// Completes page faults of the guest while it runs.
public protocol AsynchronousPageFaults: AnyObject, Sendable {
  /// Returns once no page fault is under way; called with no lock of the controller held, after new
  /// ones have been forbidden (``FloatingInterruptController/allowsPageFaults``).
  ///
  /// Each that is under way is reported with a ``FloatingInterrupt/pageFaultDone(_:)`` before, so
  /// that a migration takes it along.
  func waitUntilDone()
}
