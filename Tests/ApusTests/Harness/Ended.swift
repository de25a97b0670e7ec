import HostOS

/// How a program ended, and all that it printed.
struct Ended: Sendable, CustomStringConvertible {
  let ending: ChildProcess.Ending
  let output: String
  let errors: String
  let duration: Duration

  /// Its exit code, or nil if a signal killed it.
  var code: Int32? {
    if case .exited(let code) = ending { return code }
    return nil
  }

  /// The lines on standard error.
  var complaints: [String] { errors.split(whereSeparator: \.isNewline).map(String.init) }

  /// What the test guest reported, a line for each check: `ok disk-verify 11 files`.
  var reports: [String] {
    lines.compactMap { line in
      let prefix = "APUS-TEST: "
      return line.hasPrefix(prefix) ? String(line.dropFirst(prefix.count)) : nil
    }
  }

  /// The checks that failed.
  var failures: [String] { reports.filter { !$0.hasPrefix("ok ") } }

  /// The lines on standard output.
  var lines: [String] { output.split(whereSeparator: \.isNewline).map(String.init) }

  var description: String {
    "ended \(ending) after \(duration), printed …\(output.suffix(1500)), complained \(errors)"
  }
}
