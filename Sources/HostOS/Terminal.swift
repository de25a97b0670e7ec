import CLinux
import Glibc

/// A terminal in raw mode, put back as it was when the owner lets go of it.
///
/// ``restore()`` may also be called early, from any thread. A signal that kills the process because
/// of a fault restores it too; SIGKILL cannot. One object at a time.
public final class RawTerminal: Sendable {
  private let number: Int32
  private let saved: termios

  /// Whether `number` is a terminal at all.
  public static func isTerminal(_ number: Int32) -> Bool { isatty(number) == 1 }

  /// Puts the terminal `number` into raw mode: no echo, no line editing, no signals from keys.
  ///
  /// - Parameter number: A descriptor of the terminal, which stays the caller's.
  /// - Throws: ``SystemError`` if it is not a terminal.
  public init(_ number: Int32) throws(SystemError) {
    var saved = termios()
    _ = try retrying("tcgetattr") { unsafe tcgetattr(number, &saved) }
    var raw = saved
    unsafe cfmakeraw(&raw)
    // The guest's output still wants its line feeds: the guest's own terminal driver adds the
    // carriage returns, messages of ours are written for a cooked terminal.
    raw.c_oflag |= tcflag_t(OPOST)
    unsafe apus_restore_terminal_on_crash(number, &saved)
    _ = try retrying("tcsetattr") { unsafe tcsetattr(number, TCSANOW, &raw) }
    self.number = number
    self.saved = saved
  }

  deinit { restore() }

  /// Puts the terminal back as it was before.
  public func restore() {
    var copy = saved
    _ = unsafe tcsetattr(number, TCSANOW, &copy)
    apus_restore_terminal_on_crash(-1, nil)
  }
}
