import Glibc
import HostOS

extension EmulatedHost {
  /// The relaying between the user and the command inside, from boot to exit code.
  ///
  /// Owned by the thread that calls ``run()``. It does not own the descriptors.
  struct Session {
    private let child: Int32
    private let signals: SignalQueue
    private let control: Int32
    private let console: Int32
    private var relays: [Relay]
    private let input: Input
    private var consoleTail: [UInt8] = []
    private var messages: [UInt8] = []
    private var isReady = false
    /// The user asked for a report before anything ran inside.
    private var isReportWanted = false
    private var exitCode: Int32?
    private var deadline: UInt64?

    /// How long a host may take to come up, and a command to end after a signal, in seconds.
    private static var bootLimit: UInt64 { 120 }
    private static var endLimit: UInt64 { 15 }
    /// How long the user's end may take nothing of what was printed last, in seconds.
    private static var drainLimit: UInt64 { 3 }

    init(
      child: Int32,
      signals: SignalQueue,
      standard: Int32,
      errors: Int32,
      output: Int32,
      messages: Int32,
      control: Int32,
      console: Int32
    ) {
      self.child = child
      self.signals = signals
      self.control = control
      self.console = console
      let input = Input()
      self.input = input
      relays = [
        Relay(from: STDIN_FILENO, to: standard, filter: input.filter),
        Relay(from: standard, to: output),
        Relay(from: errors, to: messages),
      ]
    }

    /// Relays until the command has ended.
    mutating func run() throws -> Int32 {
      // The terminal is raw from here on, and as it was on every way out.
      let terminal =
        RawTerminal.isTerminal(STDIN_FILENO) ? try RawTerminal(STDIN_FILENO) : nil
      input.isTerminal = terminal != nil
      defer { terminal?.restore() }
      deadline = MonotonicClock.seconds + Self.bootLimit
      while true {
        if let code = exitCode {
          drainOutput()
          return code
        }
        try step()
      }
    }

    private mutating func step() throws {
      var list = PollList()
      let places = relays.map { $0.register(in: &list) }
      let controlPlace = list.add(control, for: .readable)
      let consolePlace = list.add(console, for: .readable)
      let signalPlace = list.add(signals.rawValue, for: .readable)
      let childPlace = list.add(child, for: .readable)
      list.wait(timeout: 1000)
      for (index, place) in places.enumerated() {
        if let place, list.isReady(place) { relays[index].advance() }
      }
      if list.isReady(consolePlace) { readConsole() }
      if list.isReady(controlPlace) { try readControl() }
      if list.isReady(signalPlace), let signal = signals.next() { try pass(signal) }
      if input.takeQuit() {
        // The first may press the guest's power button; the second ends the guest at once.
        try pass(SIGTERM)
        try pass(SIGINT)
      }
      if exitCode == nil, list.isReady(childPlace) {
        drainOutput()
        readConsole()
        throw EmulatedHostError.died(how: "ended early", console: lastConsoleLine)
      }
      if exitCode == nil, let deadline, MonotonicClock.seconds >= deadline {
        guard isReady else {
          throw EmulatedHostError.died(
            how: "did not come up in \(Self.bootLimit) s",
            console: lastConsoleLine
          )
        }
        // It was told to end and does not: its end is ours now, which kills it.
        exitCode = 0
      }
    }

    private mutating func pass(_ signal: Int32) throws {
      guard isReady else {
        // Nothing runs inside yet, so there is nothing to end but the host.
        switch signal {
        case SIGUSR1: isReportWanted = true
        // What has changed until then is found at the start.
        case SIGUSR2: break
        default: exitCode = 0
        }
        return
      }
      try FileIO.writeAll(control, [UInt8(truncatingIfNeeded: signal)])
      if ![SIGUSR1, SIGUSR2].contains(signal) {
        deadline = MonotonicClock.seconds + Self.endLimit
      }
    }

    private mutating func readControl() throws {
      guard let bytes = try FileIO.read(control, atMost: 4096) else { return }
      messages += bytes
      while let end = messages.firstIndex(of: UInt8(ascii: "\n")) {
        let line = String(decoding: messages[..<end], as: UTF8.self)
        messages.removeSubrange(...end)
        if line == "ready" {
          isReady = true
          deadline = nil
          if isReportWanted { try pass(SIGUSR1) }
        } else if line.hasPrefix("exit "), let code = Int32(line.dropFirst(5)) {
          exitCode = code
        } else {
          throw EmulatedHostError.protocolViolation("the message \(line)")
        }
      }
      guard messages.count <= 4096 else {
        throw EmulatedHostError.protocolViolation("a message without an end")
      }
    }

    private mutating func readConsole() {
      guard let bytes = try? FileIO.read(console, atMost: 4096) else { return }
      consoleTail = Array((consoleTail + bytes).suffix(4096))
    }

    /// What the host's kernel said last: why it ended, where it said so before a list of its callers.
    private var lastConsoleLine: String {
      let lines = String(decoding: consoleTail, as: UTF8.self).split(whereSeparator: \.isNewline)
      return String(lines.last { $0.contains("Kernel panic") } ?? lines.last ?? "")
    }

    /// Writes out what the command printed before it ended, if somebody takes it.
    private mutating func drainOutput() {
      let end = MonotonicClock.seconds + Self.drainLimit
      for index in 1..<relays.count {
        while MonotonicClock.seconds < end {
          var list = PollList()
          guard let place = relays[index].register(in: &list) else { break }
          let isReading = relays[index].isDrained
          list.wait(timeout: isReading ? 0 : 100)
          if list.isReady(place) {
            relays[index].advance()
          } else if isReading {
            break
          }
        }
      }
    }
  }

  /// What the user types: escape keys are taken out when it comes from a terminal.
  private final class Input {
    var isTerminal = false
    private var escape = ConsoleEscape()
    private var wantsQuit = false

    func filter(_ typed: [UInt8]) -> [UInt8] {
      guard isTerminal else { return typed }
      let (passed, requests) = escape.feed(typed)
      for request in requests {
        switch request {
        case .quit: wantsQuit = true
        case .help:
          try? FileIO.writeAll(STDERR_FILENO, Array(ConsoleEscape.help.utf8))
        }
      }
      return passed
    }

    func takeQuit() -> Bool {
      defer { wantsQuit = false }
      return wantsQuit
    }
  }
}
