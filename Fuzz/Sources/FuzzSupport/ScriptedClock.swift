import DeviceModel

/// A clock that moves when a script says so; for one thread.
public final class ScriptedClock: DeviceClock, @unchecked Sendable {
  // Sendable: a fuzz target has one thread.
  private var now: UInt64 = 5_000_000_000
  private var armed: [(timer: ScriptedTimer, deadline: UInt64)] = []
  /// How many timers have expired.
  public private(set) var expiries = 0

  /// Makes a clock with no timer.
  public init() {}

  /// Nanoseconds that have passed, from an arbitrary start.
  public var monotonic: UInt64 { now }
  /// The same; nobody asks.
  public var realTime: Int64 { Int64(now) }
  /// How many timers are armed.
  public var armedCount: Int { armed.count }

  /// Makes a timer that expires as this clock moves.
  public func makeTimer() -> any DeviceTimer { ScriptedTimer(self) }

  /// Lets `nanoseconds` pass; timers expire meanwhile, in order.
  public func advance(nanoseconds: UInt64) {
    let end = now + nanoseconds
    while let next = armed.min(by: { $0.deadline < $1.deadline }), next.deadline <= end {
      armed.removeAll { $0.timer === next.timer }
      now = max(now, next.deadline)
      expiries += 1
      next.timer.action?()
    }
    now = end
  }

  private final class ScriptedTimer: DeviceTimer, @unchecked Sendable {
    // The clock holds its timers while they are armed; who uses a timer holds the clock.
    private unowned let clock: ScriptedClock
    var action: (@Sendable () -> Void)?

    init(_ clock: ScriptedClock) { self.clock = clock }

    func whenExpired(_ action: @escaping @Sendable () -> Void) { self.action = action }
    func disarm() { clock.armed.removeAll { $0.timer === self } }
    func arm(at deadline: UInt64) {
      disarm()
      clock.armed.append((self, deadline))
    }
  }
}
