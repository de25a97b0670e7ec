import Interrupts

/// What a client of the control socket is told of a machine.
struct ControlReport: Equatable, Sendable {
  /// One device.
  struct Device: Equatable, Sendable {
    /// What log lines call it.
    var name: String
    /// What it is.
    var kind: String
    /// `running`, `restarting` or `failed`.
    var state = "running"
    /// Why it has failed.
    var reason: String?
    /// The process that serves it, ours if it has none of its own; `nil` if there is none now.
    var process: Int32?
    /// Whether it has a process of its own.
    var isIsolated = false
    /// How often its process was followed by another.
    var restarts = 0
    /// When its process took over, on the host's monotonic clock in nanoseconds; `nil` if it has not yet.
    var servedSince: UInt64?
    /// What its process is shut in by, as that tells it.
    var sandbox: String?
  }

  /// One interrupt of the machine.
  struct Line: Equatable, Sendable {
    var number: UInt32
    var routes: [String]
    var counters: InterruptCounters
  }

  var devices: [Device]
  /// Those of which this process counts the interrupts.
  var lines: [Line]

  /// Lines for a user.
  var text: String {
    var text = "devices:\n"
    for device in devices {
      let process =
        device.isIsolated
        ? device.process.map { "process \($0)" } ?? "no process" : "in the machine's process"
      text += "  \(device.name) (\(device.kind)): \(device.state), \(process)"
      if device.isIsolated { text += ", \(device.restarts) restarts" }
      if let reason = device.reason { text += "; \(reason)" }
      text += "\n"
      if let sandbox = device.sandbox { text += "    sandbox: \(sandbox)\n" }
    }
    text += "interrupts:\n"
    for line in lines where line.counters != InterruptCounters() {
      let counters = line.counters
      text += "  \(line.number): raised \(counters.raised), delivered \(counters.delivered), "
      text += "coalesced \(counters.coalesced), EOI \(counters.ended), "
      text += "resampled \(counters.resampled), spurious \(counters.spurious)\n"
    }
    return text
  }

  /// One line of JSON (RFC 8259).
  var json: String {
    let devices = devices.map { device in
      "{\"name\":\(Self.quoted(device.name)),\"kind\":\(Self.quoted(device.kind)),"
        + "\"state\":\(Self.quoted(device.state)),\"reason\":\(Self.quoted(device.reason)),"
        + "\"process\":\(device.process.map { "\($0)" } ?? "null"),"
        + "\"isolated\":\(device.isIsolated),\"restarts\":\(device.restarts),"
        + "\"servedSince\":\(device.servedSince.map { "\($0)" } ?? "null"),"
        + "\"sandbox\":\(Self.quoted(device.sandbox))}"
    }
    let lines = lines.map { line in
      let counters = line.counters
      return "{\"gsi\":\(line.number),\"routes\":["
        + line.routes.map { Self.quoted($0) }.joined(separator: ",")
        + "],\"raised\":\(counters.raised),\"delivered\":\(counters.delivered),"
        + "\"coalesced\":\(counters.coalesced),\"ended\":\(counters.ended),"
        + "\"resampled\":\(counters.resampled),\"spurious\":\(counters.spurious)}"
    }
    return "{\"devices\":[\(devices.joined(separator: ","))],"
      + "\"interrupts\":[\(lines.joined(separator: ","))]}\n"
  }

  private static func quoted(_ text: String?) -> String {
    guard let text else { return "null" }
    var quoted = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"", "\\": quoted += "\\\(scalar)"
      case _ where scalar.value < 0x20:
        let digits = String(scalar.value, radix: 16)
        quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: quoted.unicodeScalars.append(scalar)
      }
    }
    return quoted + "\""
  }
}
