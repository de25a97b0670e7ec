import Logging
import Synchronization

/// Keeps what is logged, for tests to look at.
final class RecordedLog: Sendable {
  private let kept = Mutex<[String]>([])

  /// The lines so far, those of level info and below left out.
  var lines: [String] { kept.withLock { $0 } }

  /// A logger that writes here.
  func makeLogger() -> Logger { Logger(label: "test") { _ in Handler(target: self) } }

  private struct Handler: LogHandler {
    let target: RecordedLog
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.notice

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
      target.kept.withLock { $0.append("\(event.message)") }
    }
  }
}
