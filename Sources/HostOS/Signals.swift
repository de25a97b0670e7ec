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

  /// Has `signals` reach the calling thread again.
  static func unblock(_ signals: [Int32]) {
    var set = sigset_t()
    _ = unsafe sigemptyset(&set)
    for signal in signals { _ = unsafe sigaddset(&set, signal) }
    _ = unsafe pthread_sigmask(SIG_UNBLOCK, &set, nil)
  }

  /// What the manual calls a signal, such as `SIGKILL`; its number if it has no name of its own.
  public static func name(of signal: Int32) -> String {
    switch signal {
    case SIGHUP: "SIGHUP"
    case SIGINT: "SIGINT"
    case SIGQUIT: "SIGQUIT"
    case SIGILL: "SIGILL"
    case SIGTRAP: "SIGTRAP"
    case SIGABRT: "SIGABRT"
    case SIGBUS: "SIGBUS"
    case SIGFPE: "SIGFPE"
    case SIGKILL: "SIGKILL"
    case SIGSEGV: "SIGSEGV"
    case SIGPIPE: "SIGPIPE"
    case SIGTERM: "SIGTERM"
    case SIGXCPU: "SIGXCPU"
    case SIGXFSZ: "SIGXFSZ"
    case SIGSYS: "SIGSYS"
    default: "signal \(signal)"
    }
  }

  /// Keeps `signals` waiting, in the calling thread and those that it starts, for a ``SignalQueue`` to come.
  ///
  /// For the time before there is one: what nobody has asked to handle may end the process.
  public static func block(_ signals: [Int32]) {
    var set = sigset_t()
    _ = unsafe sigemptyset(&set)
    for signal in signals { _ = unsafe sigaddset(&set, signal) }
    _ = unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
  }
}
