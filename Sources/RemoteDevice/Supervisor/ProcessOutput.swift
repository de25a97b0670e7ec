import HostOS
import Logging

/// What a device's process says on its standard error, as lines of our log.
///
/// The process may have been taken over: its lines are bounded in length and number, have no control characters, and
/// begin with the device's name. One that says more than is read waits. Owned by the supervisor's thread.
struct ProcessOutput: ~Copyable {
  /// The longest line, in bytes; the rest of a longer one is left out.
  static var lineLimit: Int { 500 }
  /// How many lines may come at once.
  static var burst: Int { 50 }
  /// How many lines may come in a second after that.
  static var rate: Int { 10 }
  // How many bytes are read in a second.
  private static var byteRate: Int { 1 << 20 }
  private static var pieceCount: Int { 16 << 10 }
  private static var second: UInt64 { 1_000_000_000 }

  /// How a line begins that tells of the process's sandbox, and is not for the log.
  static var reportPrefix: String { "apus: report: sandbox: " }

  /// How a line begins that tells of the device.
  static var devicePrefix: String { "apus: report: device:" }

  private let name: String
  private let logger: Logger
  private var pipe: OwnedFileDescriptor?
  private var line: [UInt8] = []
  private var isCut = false
  private var tokens = burst
  private var suppressed = 0
  private var bytesLeft = byteRate
  private var report: String?
  private var deviceReport: String?
  /// Whether what the process says without a level, as one does that ends, is kept instead of logged; the last of it.
  var keepsComplaint = false
  private var complaint: String?
  /// When the numbers above begin anew, on the monotonic clock.
  private var nextSecond: UInt64

  /// Reads from the end of a pipe that is the process's standard error.
  init(_ pipe: consuming OwnedFileDescriptor, of name: String, logger: Logger) throws(SystemError) {
    try FileIO.setNonBlocking(pipe.rawValue)
    self.pipe = consume pipe
    self.name = name
    self.logger = logger
    nextSecond = MonotonicClock.nanoseconds &+ Self.second
  }

  /// What to poll for reading; `nil` while nothing is read.
  var pollable: Int32? { bytesLeft > 0 ? pipe.borrow { $0.rawValue } : nil }

  /// When to look again though nothing is polled, on the monotonic clock.
  var resumesAt: UInt64? { bytesLeft > 0 ? nil : nextSecond }

  /// Takes what the process has told of its sandbox since the last time.
  mutating func takeReport() -> String? { report.take() }

  /// Takes what the process has told of its device since the last time.
  mutating func takeDeviceReport() -> String? { deviceReport.take() }

  /// Takes what the process has complained of.
  mutating func takeComplaint() -> String? { complaint.take() }

  /// Takes what is there, a bounded part of it.
  mutating func advance() {
    beginSecond()
    guard bytesLeft > 0, let number = pipe.borrow({ $0.rawValue }) else { return }
    do throws(SystemError) {
      guard let bytes = try FileIO.read(number, atMost: min(Self.pieceCount, bytesLeft)) else {
        return
      }
      bytesLeft -= bytes.count
      for byte in bytes { take(byte) }
      if bytes.isEmpty { close() }
    } catch {
      close()
    }
  }

  /// Takes what the process has said last; it has ended.
  mutating func finish() {
    bytesLeft = max(bytesLeft, 64 << 10)
    while bytesLeft > 0, let number = pipe.borrow({ $0.rawValue }) {
      var list = PollList()
      let place = list.add(number, for: .readable)
      list.wait(timeout: 0)
      guard list.isReady(place) else { break }
      advance()
    }
    close()
    if suppressed > 0 {
      logger.warning("\(name): \(suppressed) more lines of its process are left out")
    }
  }

  private mutating func close() {
    if !line.isEmpty { endLine() }
    pipe = nil
  }

  private mutating func beginSecond() {
    let now = MonotonicClock.nanoseconds
    guard now >= nextSecond else { return }
    let seconds = Int(clamping: 1 + (now - nextSecond) / Self.second)
    tokens = min(Self.burst, tokens + min(seconds, Self.burst) * Self.rate)
    bytesLeft = Self.byteRate
    nextSecond = now &+ Self.second
  }

  private mutating func take(_ byte: UInt8) {
    if byte == UInt8(ascii: "\n") {
      endLine()
    } else if line.count < Self.lineLimit {
      line.append(byte)
    } else {
      isCut = true
    }
  }

  private mutating func endLine() {
    defer {
      line.removeAll(keepingCapacity: true)
      isCut = false
    }
    let text = Self.printable(line)
    guard !text.isEmpty else { return }
    guard tokens > 0 else {
      suppressed += 1
      return
    }
    tokens -= 1
    if text.hasPrefix(Self.reportPrefix) {
      report = String(text.dropFirst(Self.reportPrefix.count))
      return
    }
    if text.hasPrefix(Self.devicePrefix) {
      deviceReport = String(text.dropFirst(Self.devicePrefix.count))
      return
    }
    if keepsComplaint, complaint == nil, Self.isComplaint(text) {
      complaint = String(text.dropFirst("apus: ".count)) + (isCut ? "…" : "")
      return
    }
    let (level, rest) = Self.split(text)
    let note = suppressed > 0 ? " (\(suppressed) lines before this one left out)" : ""
    suppressed = 0
    let start = rest.hasPrefix("\(name): ") ? "" : "\(name): "
    logger.log(level: level, "\(start)\(rest)\(isCut ? "…" : "")\(note)")
  }

  /// The text of a line, without what a terminal would obey.
  private static func printable(_ bytes: [UInt8]) -> String {
    var text = String.UnicodeScalarView()
    for scalar in String(decoding: bytes, as: UTF8.self).unicodeScalars {
      switch scalar.properties.generalCategory {
      case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .unassigned,
        .privateUse:
        if scalar == "\t" { text.append(" ") }
      default: text.append(scalar)
      }
    }
    return String(text)
  }

  /// Whether a line is one that a program of ours says as it ends.
  private static func isComplaint(_ text: String) -> Bool {
    guard text.hasPrefix("apus: ") else { return false }
    let rest = text.dropFirst("apus: ".count)
    return !Logger.Level.allCases.contains { rest.hasPrefix("\($0): ") }
  }

  /// The level of a line as `apus` writes them, and the rest; what somebody else has written is a warning.
  private static func split(_ text: String) -> (Logger.Level, Substring) {
    guard text.hasPrefix("apus: ") else { return (.warning, text[...]) }
    let rest = text.dropFirst("apus: ".count)
    for level in Logger.Level.allCases where rest.hasPrefix("\(level): ") {
      return (level, rest.dropFirst("\(level): ".count))
    }
    return (.warning, rest)
  }
}
