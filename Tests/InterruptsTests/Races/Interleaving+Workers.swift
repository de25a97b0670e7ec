import TestSupport
import Testing

extension Interleaving {
  /// Runs `workers` once each, and besides them `loops` again and again until all of them are through.
  ///
  /// - Parameters:
  ///   - seed: Chooses the order.
  ///   - workers: What is to be done.
  ///   - loops: One turn each of those who serve them, such as the guest.
  ///   - others: What is done once and not waited for by the loops.
  /// - Throws: What the host refuses.
  static func run(
    _ seed: UInt64,
    _ workers: [@Sendable () -> Void],
    besides loops: [@Sendable () -> Void],
    _ others: [@Sendable () -> Void] = []
  ) throws {
    let done = Shared()
    let count = workers.count
    let counted = workers.map { worker in
      { @Sendable in
        worker()
        done.add()
      }
    }
    let turned = loops.map { turn in
      { @Sendable in
        while done.value < count {
          turn()
          step()
        }
      }
    }
    let result = try run(seed: seed, counted + turned + others)
    #expect(!result.isDeadlocked, "seed \(seed): deadlock")
  }
}
