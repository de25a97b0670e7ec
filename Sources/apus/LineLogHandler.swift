import Glibc
import HostOS
import Logging

/// Logs one line an entry to standard error: `apus: warning: disk: ...`.
struct LineLogHandler: LogHandler {
  var metadata: Logger.Metadata = [:]
  var logLevel: Logger.Level
  private let label: String

  /// Makes every logger of the process write through this handler.
  static func install(_ level: Logger.Level) {
    LoggingSystem.bootstrap { LineLogHandler(logLevel: level, label: $0) }
  }

  private init(logLevel: Logger.Level, label: String) {
    self.logLevel = logLevel
    self.label = label
  }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let text = "\(event.message)".split(whereSeparator: \.isNewline).joined(separator: " ")
    let line = "apus: \(event.level): \(label): \(text)\n"
    // Nobody can be told when standard error itself is gone.
    try? FileIO.writeAll(STDERR_FILENO, Array(line.utf8))
  }
}
