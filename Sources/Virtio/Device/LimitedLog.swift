public import Logging
import Synchronization

/// A log for lines that a guest can cause: so many at once, then one a second, the rest counted.
///
/// Any thread may write to it.
public final class LimitedLog: Sendable {
  /// How many lines may come in a burst.
  public static var burst: Int { 10 }

  private struct State {
    var tokens: Int
    var refilled: ContinuousClock.Instant
    var suppressed = 0
  }

  private let logger: Logger
  private let prefix: String
  private let state: Mutex<State>

  /// Writes to `logger`, each line starting with `prefix`.
  public init(_ logger: Logger, prefix: String) {
    self.logger = logger
    self.prefix = prefix
    state = Mutex(State(tokens: Self.burst, refilled: .now))
  }

  /// Writes a line at level warning, if the rate allows it.
  public func warning(_ line: @autoclosure () -> String) {
    write(.warning, line())
  }

  /// Writes a line at level error, if the rate allows it.
  public func error(_ line: @autoclosure () -> String) {
    write(.error, line())
  }

  private func write(_ level: Logger.Level, _ line: @autoclosure () -> String) {
    guard logger.logLevel <= level else { return }
    let now = ContinuousClock.now
    let suppressed: Int? = state.withLock { state in
      let seconds = Int(state.refilled.duration(to: now).components.seconds)
      if seconds > 0 {
        state.tokens = min(Self.burst, state.tokens + min(seconds, Self.burst))
        state.refilled = now
      }
      guard state.tokens > 0 else {
        state.suppressed += 1
        return nil
      }
      state.tokens -= 1
      defer { state.suppressed = 0 }
      return state.suppressed
    }
    guard let suppressed else { return }
    let note = suppressed > 0 ? " (\(suppressed) lines before this one left out)" : ""
    logger.log(level: level, "\(prefix): \(line())\(note)")
  }
}
