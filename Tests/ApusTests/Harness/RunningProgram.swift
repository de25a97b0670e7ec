import Glibc
import HostOS

/// A program that a test started, driven from the one thread that started it; killed when let go of.
final class RunningProgram {
  /// What the program reads.
  enum Input {
    /// The null device.
    case nothing
    /// A pipe that ``RunningProgram/type(_:)`` writes to.
    case pipe
    /// A terminal, which is also its standard output.
    case terminal(Terminal)
  }

  /// The program did not do in time what the test waits for.
  struct Late: Error, CustomStringConvertible {
    let what: String
    let seconds: Int
    let printed: String
    var description: String { "no \(what) within \(seconds) s, after: \(printed.suffix(1500))" }
  }

  private var child: ChildProcess
  private var keys: OwnedFileDescriptor?
  private let output: OwnedFileDescriptor
  private let errors: OwnedFileDescriptor
  private var printed: [UInt8] = []
  private var complained: [UInt8] = []
  private let begin = ContinuousClock.now

  /// Starts the program at `path`; with a `folder`, in that folder.
  init(
    _ path: String,
    _ arguments: [String],
    input: Input = .nothing,
    folder: String? = nil
  ) throws {
    let null = try OwnedFileDescriptor(opening: "/dev/null", O_RDONLY)
    let printing = try Pipe()
    let complaining = try Pipe()
    let typing = try Pipe()
    let descriptors: [Int32]
    switch input {
    case .nothing:
      descriptors = [null.rawValue, printing.writer.rawValue, complaining.writer.rawValue]
      output = try printing.reader.duplicated()
      keys = nil
    case .pipe:
      descriptors = [typing.reader.rawValue, printing.writer.rawValue, complaining.writer.rawValue]
      output = try printing.reader.duplicated()
      keys = try typing.writer.duplicated()
    case .terminal(let terminal):
      descriptors = [terminal.slave, terminal.slave, complaining.writer.rawValue]
      output = try OwnedFileDescriptor(duplicating: terminal.master)
      keys = try OwnedFileDescriptor(duplicating: terminal.master)
    }
    errors = try complaining.reader.duplicated()
    let command = [path] + arguments
    child = try ChildProcess(
      folder == nil ? path : "/bin/sh",
      folder.map { ["sh", "-c", "cd \"$0\" && exec \"$@\"", $0] + command } ?? command,
      environment: ["PATH", "HOME", "APUS_CACHE", "XDG_CACHE_HOME"].compactMap { name in
        Given.variable(name).map { "\(name)=\($0)" }
      },
      descriptors: descriptors
    )
    try FileIO.setNonBlocking(output.rawValue)
    try FileIO.setNonBlocking(errors.rawValue)
  }

  /// The program's process id.
  var id: Int32 { child.id }
  /// What it has printed up to now.
  var standardOutput: String { String(decoding: printed, as: UTF8.self) }
  /// What it has written to standard error up to now.
  var standardError: String { String(decoding: complained, as: UTF8.self) }

  /// Sends what a user types.
  func type(_ text: String) throws {
    guard let number = keys.borrow({ $0.rawValue }) else { return }
    try FileIO.writeAll(number, Array(text.utf8))
  }

  /// Sends a signal.
  func signal(_ number: Int32) { child.signal(number) }

  /// Waits until the program has printed `text`, or written it to standard error.
  func expect(_ text: String, within seconds: Int = 120) throws {
    try wait(for: "\"\(text)\"", within: seconds) {
      standardOutput.contains(text) || standardError.contains(text)
    }
  }

  /// Waits until the program has written `text` to standard error so many times.
  func expect(_ text: String, times: Int, within seconds: Int = 60) throws {
    try wait(for: "\(times) of \"\(text)\"", within: seconds) {
      standardError.occurrences(of: text) >= times
    }
  }

  /// Waits until `condition` holds, while the program's output is taken.
  func wait(for what: String, within seconds: Int = 120, _ condition: () throws -> Bool) throws {
    let end = ContinuousClock.now + .seconds(seconds)
    while try !condition() {
      guard ContinuousClock.now < end, !advance() else {
        // What came with the program's end counts.
        if try condition() { return }
        throw Late(what: what, seconds: seconds, printed: standardOutput + standardError)
      }
    }
  }

  /// Waits for the program's end.
  func finish(within seconds: Int = 240) throws -> Ended {
    let end = ContinuousClock.now + .seconds(seconds)
    while !advance() {
      guard ContinuousClock.now < end else {
        throw Late(what: "end", seconds: seconds, printed: standardOutput + standardError)
      }
    }
    let ending = child.wait()
    return Ended(
      ending: ending,
      output: standardOutput,
      errors: standardError,
      duration: ContinuousClock.now - begin
    )
  }

  /// Waits for the program's end, and takes nothing of what it prints.
  ///
  /// - Returns: False if it has not ended in time.
  func endsUnread(within seconds: Int) -> Bool {
    var list = PollList()
    let ending = list.add(child.pollable, for: .readable)
    list.wait(timeout: Int32(1000 * seconds))
    return list.isReady(ending)
  }

  /// Takes what the program prints, for up to a fifth of a second.
  ///
  /// - Returns: Whether it has ended, and all of its output been taken.
  private func advance() -> Bool {
    var list = PollList()
    let ending = list.add(child.pollable, for: .readable)
    _ = list.add(output.rawValue, for: .readable)
    _ = list.add(errors.rawValue, for: .readable)
    list.wait(timeout: 200)
    // In this order: what it printed before it ended is there by now.
    let hasEnded = list.isReady(ending)
    let isClosed = [
      Self.drain(output.rawValue, into: &printed), Self.drain(errors.rawValue, into: &complained),
    ]
    if !hasEnded, isClosed.contains(true) { usleep(20_000) }
    return hasEnded
  }

  /// - Returns: Whether there will be no more.
  private static func drain(_ number: Int32, into bytes: inout [UInt8]) -> Bool {
    while true {
      guard let new = try? FileIO.read(number, atMost: 65536) else { return false }
      if new.isEmpty { return true }
      bytes += new
    }
  }

  private struct Pipe: ~Copyable {
    let reader: OwnedFileDescriptor
    let writer: OwnedFileDescriptor

    init() throws {
      var numbers: [Int32] = [-1, -1]
      guard pipe(&numbers) == 0 else { throw SystemError(call: "pipe", code: errno) }
      reader = OwnedFileDescriptor(adopting: numbers[0])
      writer = OwnedFileDescriptor(adopting: numbers[1])
    }
  }
}

extension String {
  /// How often `text` is in it.
  fileprivate func occurrences(of text: String) -> Int {
    var count = 0
    var rest = self[...]
    while let found = rest.firstRange(of: text) {
      count += 1
      rest = rest[found.upperBound...]
    }
    return count
  }
}
