import HostOS

/// A thread that a test keeps in an array and joins when it likes.
public final class TestThread {
  private var thread: HostOS.Thread?

  /// Starts it.
  public init(_ body: @escaping @Sendable () -> Void) throws {
    thread = try HostOS.Thread("test", body)
  }

  /// Waits for the thread to end, as letting go of it does.
  public func join() { thread = nil }
}
