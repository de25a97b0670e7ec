public import DeviceModel
import Glibc
import HostOS
import Synchronization

/// Makes interrupts that a test can look into, up to a limit.
public final class FakeMessageInterrupts: MessageInterruptAllocator {
  private let limit: Int
  private let all = Mutex<[FakeMessageInterrupt]>([])

  /// Makes a source of at most `limit` interrupts.
  public init(limit: Int = .max) { self.limit = limit }

  /// Every interrupt made so far, in order: for one device's table, its vectors.
  public var made: [FakeMessageInterrupt] { all.withLock { $0 } }

  /// Makes an interrupt with no route; fails with `ENOSPC` at the limit.
  public func makeMessageInterrupt() throws -> any MessageInterrupt {
    try all.withLock { all in
      guard all.count < limit else {
        throw SystemError(call: "make message interrupt", code: ENOSPC)
      }
      let interrupt = try FakeMessageInterrupt()
      all.append(interrupt)
      return interrupt
    }
  }
}
