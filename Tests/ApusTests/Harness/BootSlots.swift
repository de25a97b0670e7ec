import Testing

/// Lets at most two guests boot at once, since each takes a processor of the host for itself.
actor BootSlots {
  static let shared = BootSlots()

  private var free = 2
  private var waiting: [CheckedContinuation<Void, Never>] = []

  /// Runs `body` when it is its turn.
  func run<Result: Sendable>(
    _ body: @Sendable () async throws -> Result
  ) async throws -> Result {
    await take()
    defer { give() }
    return try await body()
  }

  private func take() async {
    guard free == 0 else {
      free -= 1
      return
    }
    await withCheckedContinuation { waiting.append($0) }
  }

  private func give() {
    if waiting.isEmpty { free += 1 } else { waiting.removeFirst().resume() }
  }
}
