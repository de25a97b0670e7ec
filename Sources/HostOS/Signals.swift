import CLinux
import Glibc

/// Signals of the process.
public enum Signals {
  /// Installs a handler that does nothing, so that `signal` interrupts a system call and no more.
  ///
  /// The handler is the process's, for all threads. A call that the signal interrupts fails with
  /// `EINTR` (sigaction(2) without `SA_RESTART`).
  ///
  /// - Parameter signal: The signal's number, such as `SIGUSR1`.
  /// - Throws: ``SystemError``, `EINVAL` for a signal that cannot be handled.
  public static func installWakeUpHandler(for signal: Int32) throws(SystemError) {
    var action = sigaction()
    unsafe action.__sigaction_handler.sa_handler = { _ in }
    // SAFETY: the calls write and read a live local, and the handler captures nothing.
    _ = try retrying("sigaction", "signal \(signal)") {
      unsafe sigaction(signal, &action, nil)
    }
  }
}
