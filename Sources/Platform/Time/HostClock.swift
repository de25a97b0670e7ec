public import DeviceModel
import Glibc
public import HostOS
import Synchronization

/// The host's clocks, and timers that expire on one thread of their own.
///
/// Meant for the few timers of a machine's platform devices: arming is linear in their number.
/// The thread ends with this object; a timer that outlives it never expires.
public final class HostClock: DeviceClock {
  private let core: Core
  private let thread: Thread

  /// Starts the timers' thread.
  ///
  /// - Throws: ``SystemError`` if the host has no descriptor or thread left.
  public init() throws(SystemError) {
    let core = Core(timer: try TimerFD())
    self.core = core
    thread = try Thread("timers") { core.run() }
  }

  deinit {
    // The thread is joined when its handle goes, right after this.
    core.stop()
  }

  /// The time of `CLOCK_MONOTONIC`.
  public var monotonic: UInt64 { Core.monotonic }

  /// The time of `CLOCK_REALTIME`.
  public var realTime: Int64 {
    var time = timespec()
    // SAFETY: the result is a live local.
    _ = unsafe clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
  }

  /// Makes a timer that is not armed.
  public func makeTimer() -> any DeviceTimer { HostTimer(core) }

  /// What the thread and the timers share.
  fileprivate final class Core: Sendable {
    private struct Armed {
      let timer: HostTimer
      let deadline: UInt64
    }

    private struct State {
      var armed: [Armed] = []
      /// When the thread wakes next, at the latest; `.max` if nothing is set.
      var wake = UInt64.max
      var isStopping = false
    }

    private let timer: TimerFD
    // Lock order: a device's before this one. Expiry actions run without it.
    private let state = Mutex(State())

    init(timer: TimerFD) { self.timer = timer }

    static var monotonic: UInt64 { MonotonicClock.nanoseconds }

    func arm(_ hostTimer: HostTimer, at deadline: UInt64) {
      state.withLock { state in
        guard !state.isStopping else { return }
        state.armed.removeAll { $0.timer === hostTimer }
        state.armed.append(Armed(timer: hostTimer, deadline: deadline))
        guard deadline < state.wake else { return }
        state.wake = deadline
        timer.set(to: deadline)
      }
    }

    func disarm(_ hostTimer: HostTimer) {
      // The thread may wake once for nothing: cheaper than a system call for each disarming.
      state.withLock { $0.armed.removeAll { $0.timer === hostTimer } }
    }

    func stop() {
      state.withLock { state in
        state.isStopping = true
        state.armed = []
        timer.set(to: 0)
      }
    }

    func run() {
      while true {
        timer.wait()
        guard let due = takeDue() else { return }
        for entry in due { entry.timer.expire() }
      }
    }

    private func takeDue() -> [Armed]? {
      state.withLock { state in
        guard !state.isStopping else { return nil }
        let now = Self.monotonic
        let due = state.armed.filter { $0.deadline <= now }.sorted { $0.deadline < $1.deadline }
        state.armed.removeAll { $0.deadline <= now }
        state.wake = state.armed.map(\.deadline).min() ?? .max
        if state.wake != .max { timer.set(to: state.wake) }
        return due
      }
    }
  }

  fileprivate final class HostTimer: DeviceTimer {
    private let core: Core
    private let action = SharedAction()

    init(_ core: Core) { self.core = core }

    func whenExpired(_ action: @escaping @Sendable () -> Void) {
      self.action.set(action)
    }

    func arm(at deadline: UInt64) { core.arm(self, at: deadline) }
    func disarm() { core.disarm(self) }

    func expire() {
      action()
    }
  }
}
