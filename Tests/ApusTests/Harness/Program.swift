import HostOS
import Testing

/// Runs of the release binary.
enum Program {
  /// Starts `apus` and drives it from a thread of its own, so that no other test waits for it.
  ///
  /// - Parameters:
  ///   - arguments: All that stands after `apus`.
  ///   - input: What its standard input is.
  ///   - folder: Its working directory.
  ///   - boots: Whether a guest boots, for which there are few places.
  ///   - body: Drives it.
  /// - Returns: What `body` returns.
  /// - Throws: What `body` throws, or that the program cannot be started.
  static func drive<Result: Sendable>(
    _ arguments: [String],
    input: RunningProgram.Input = .nothing,
    folder: String? = nil,
    boots: Bool = true,
    _ body: @escaping @Sendable (RunningProgram) throws -> Result
  ) async throws -> Result {
    let binary = try Given.binary()
    let work = { @Sendable in
      try await onThread {
        try body(RunningProgram(binary, arguments, input: input, folder: folder))
      }
    }
    return try await boots ? BootSlots.shared.run(work) : work()
  }

  /// Runs `apus` to its end.
  static func run(
    _ arguments: [String],
    input: RunningProgram.Input = .nothing,
    folder: String? = nil,
    boots: Bool = true,
    within seconds: Int = 240
  ) async throws -> Ended {
    try await drive(arguments, input: input, folder: folder, boots: boots) { program in
      try program.finish(within: seconds)
    }
  }

  /// Runs `body` on a new thread: a child lives as long as the thread that started it.
  static func onThread<Result: Sendable>(
    _ body: @escaping @Sendable () throws -> Result
  ) async throws -> Result {
    try await withCheckedThrowingContinuation { continuation in
      do {
        try Thread("test") { continuation.resume(with: Swift.Result(catching: body)) }.detach()
      } catch {
        continuation.resume(throwing: error)
      }
    }
  }
}
