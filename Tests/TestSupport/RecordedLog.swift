public import Logging
import Synchronization

/// Keeps what is logged, for tests to look at.
public final class RecordedLog: Sendable {
  private let kept = Mutex<[(level: Logger.Level, text: String)]>([])

  /// Keeps nothing yet.
  public init() {}

  /// The messages so far, those of level info and below left out.
  public var notices: [String] {
    kept.withLock { $0.filter { $0.level >= .notice }.map(\.text) }
  }

  /// Everything so far, as `level: message`.
  public var lines: [String] {
    kept.withLock { $0.map { "\($0.level): \($0.text)" } }
  }

  /// A logger that writes here.
  public func makeLogger() -> Logger { Logger(label: "test") { _ in Handler(target: self) } }

  private struct Handler: LogHandler {
    let target: RecordedLog
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.trace

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
      target.kept.withLock { $0.append((event.level, "\(event.message)")) }
    }
  }
}
