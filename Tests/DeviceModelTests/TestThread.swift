import HostOS

/// A thread that a test keeps in an array and joins when it likes.
final class TestThread {
  private var thread: HostOS.Thread?

  init(_ body: @escaping @Sendable () -> Void) throws {
    thread = try HostOS.Thread("test", body)
  }

  /// Waits for the thread to end, as letting go of it does.
  func join() { thread = nil }
}
