import Glibc
import HostOS
package import Logging

/// Logs one line an entry to standard error: `apus: warning: disk: ...`.
package struct LineLogHandler: LogHandler {
  package var metadata: Logger.Metadata = [:]
  package var logLevel: Logger.Level
  private let program: String
  private let label: String

  /// Makes every logger of the process, which is called `program`, write through this handler.
  package static func install(_ level: Logger.Level, program: String) {
    LoggingSystem.bootstrap { LineLogHandler(logLevel: level, program: program, label: $0) }
  }

  private init(logLevel: Logger.Level, program: String, label: String) {
    self.logLevel = logLevel
    self.program = program
    self.label = label
  }

  package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  package func log(event: LogEvent) {
    let text = "\(event.message)".split(whereSeparator: \.isNewline).joined(separator: " ")
    // Many lines name the device themselves, of which the logger has its name.
    let isNamed = label == program || text.hasPrefix("\(label): ")
    let line = "\(program): \(event.level): \(isNamed ? "" : "\(label): ")\(text)\n"
    // Nobody can be told when standard error itself is gone.
    try? FileIO.writeAll(STDERR_FILENO, Array(line.utf8))
  }
}
