import Glibc
public import HostOS
public import Logging
import Synchronization

/// Keeps the process of one device running, and hands out connections to it.
///
/// A thread of its own starts the process and waits for its end, which is logged with its cause: an exit, a
/// signal, or what the device's user found wrong with it. Another is started in its place; after too many
/// deaths in a row the device has failed for good. The process ends with us, however we end. Any thread may
/// call.
public final class DeviceSupervisor: ConnectionSource {
  /// What there is of the device's process.
  public enum Phase: Equatable, Sendable {
    /// It is being started.
    case starting
    /// It runs, with this id.
    case running(Int32)
    /// It died, and another is started soon.
    case waiting
    /// No other is started; why.
    case failed(String)
    /// It was told to end.
    case ended
  }

  private let keeper: ProcessKeeper
  private let thread: Thread

  /// Starts `program` as the process of the device `name`.
  ///
  /// - Throws: `SystemError` if the host has no descriptor or thread left.
  public init(
    _ name: String,
    _ program: DeviceProgram,
    policy: RestartPolicy = RestartPolicy(),
    logger: Logger
  ) throws(SystemError) {
    let keeper = try ProcessKeeper(name, program, policy, logger)
    self.keeper = keeper
    // The kernel kills the process with the thread that started it.
    thread = try Thread("\(name).watch") { keeper.run() }
  }

  /// Ends the process, which is given a second to end by itself; returns when it is gone.
  deinit { keeper.stop() }

  /// What there is of the process now.
  public var phase: Phase { keeper.state.withLock { $0.phase } }

  /// What the process was, or is, started as.
  public var program: DeviceProgram { keeper.state.withLock { $0.program } }

  /// How often the process died and was followed by another.
  public var restartCount: Int { keeper.state.withLock { $0.restarts } }

  /// When the process that runs took over the device, on the monotonic clock in nanoseconds; `nil` if it has not yet.
  public var servedSince: UInt64? {
    keeper.state.withLock { state in
      if case .running = state.phase { state.settledAt } else { nil }
    }
  }

  /// What the process has told of its sandbox; not to be believed of one that was taken over.
  public var sandbox: String? { keeper.state.withLock { $0.sandbox } }

  /// Has `program` serve the device, and the program before again if it does not come up; waits for either.
  ///
  /// - Parameters:
  ///   - program: What is to serve it.
  ///   - patience: How long the process may take to take over, in nanoseconds.
  /// - Returns: Why the program before serves the device again; `nil` if the new one does.
  /// - Throws: `SystemError` if the host has no descriptor left; then nothing has changed.
  public func attempt(_ program: DeviceProgram, within patience: UInt64) throws(SystemError)
    -> String?
  {
    let isDecided = try EventFD()
    let isFree = keeper.state.withLock { state in
      guard state.trial == nil else { return false }
      state.trial = ProcessKeeper.Trial(previous: state.program, isDecided: isDecided)
      state.failedTrial = nil
      state.program = program
      state.isReplaced = true
      return true
    }
    guard isFree else { return "it is being replaced already" }
    keeper.wake.signal()
    var list = PollList()
    let place = list.add(isDecided.rawValue, for: .readable)
    list.wait(timeout: Int32(clamping: patience / 1_000_000))
    let failure = keeper.state.withLock { state -> String? in
      guard let trial = state.trial else { return state.failedTrial }
      // Nobody has decided: it hangs.
      state.program = trial.previous
      state.trial = nil
      state.isReplaced = true
      return "does not serve the device within \(patience / 1_000_000_000) s"
    }
    if !list.isReady(place) { keeper.wake.signal() }
    return failure
  }

  /// Has `program` serve the device from now on, in place of the process that does.
  ///
  /// What is under way is ended or taken over, as after a death; a device that has failed is tried again.
  public func replace(with program: DeviceProgram) {
    keeper.state.withLock { state in
      state.program = program
      state.isReplaced = true
    }
    keeper.wake.signal()
  }

  /// Has the process end, and starts no other before ``release()``; returns when it is gone.
  ///
  /// The guest's accesses wait meanwhile. One call at a time.
  ///
  /// - Returns: Whether it has ended in order, so that its state file has all of it.
  /// - Throws: `SystemError` if the host has no descriptor left; then nothing has changed.
  public func hold() throws(SystemError) -> Bool {
    let isGone = try EventFD()
    keeper.state.withLock { state in
      state.isGone = isGone
      state.isHeld = true
      state.isReleased = nil
    }
    keeper.wake.signal()
    var list = PollList()
    let place = list.add(isGone.rawValue, for: .readable)
    list.wait(timeout: Self.holdPatience)
    let hasEnded = list.isReady(place)
    return keeper.state.withLock { state in
      state.isGone = nil
      return hasEnded && state.hasEndedInOrder
    }
  }

  // The process has eight seconds to end by itself, and those that it has started one; in milliseconds.
  private static var holdPatience: Int32 { 10_000 }

  /// Has a process serve the device again after ``hold()``; no effect if it is not held.
  public func release() {
    keeper.state.withLock { state in
      guard state.isHeld else { return }
      state.isHeld = false
      state.isReleased = true
    }
    keeper.wake.signal()
  }

  /// Asks the process what it has to say of its device.
  public func requestReport() {
    // Before it serves the device it may not have got so far as to know the signal.
    let isServing = keeper.state.withLock { state in
      state.report = nil
      return state.settledAt != nil
    }
    if isServing { signal(SIGUSR1) }
  }

  /// What the process has said since ``requestReport()``; `nil` if it says nothing until `end`, on the monotonic clock.
  public func report(until end: UInt64) -> String? {
    while true {
      if let report = keeper.state.withLock({ $0.report }) { return report }
      let now = MonotonicClock.nanoseconds
      guard now < end else { return nil }
      var list = PollList()
      _ = list.add(keeper.reported.rawValue, for: .readable)
      list.wait(timeout: Int32(clamping: (end - now) / 1_000_000 + 1))
      keeper.reported.drain()
    }
  }

  /// Sends the process a signal, if there is one now.
  public func signal(_ number: Int32) {
    keeper.state.withLock { $0.signal = number }
    keeper.wake.signal()
  }

  // MARK: ConnectionSource

  /// What messages call the process.
  public var place: String { "process of \(keeper.name)" }
  /// Readable when a process was started, or none will be any more.
  public var ready: Int32? { keeper.change.rawValue }

  /// Why no process is started any more, if that is so.
  public var failure: String? {
    if case .failed(let reason) = phase { reason } else { nil }
  }

  /// What the first process has said when it ended as one does that was told what cannot be, before it served the device.
  ///
  /// Waits a moment for its end; to be asked where it has closed its connection.
  public var refusal: String? {
    let end = MonotonicClock.nanoseconds + 1_000_000_000
    while true {
      let (refusal, isOver) = keeper.state.withLock { state -> (String?, Bool) in
        if case .failed(let reason) = state.phase { return (state.hasRefused ? reason : nil, true) }
        return (nil, state.hasServed || state.restarts > 0)
      }
      let now = MonotonicClock.nanoseconds
      guard refusal == nil, !isOver, now < end else { return refusal }
      var list = PollList()
      _ = list.add(keeper.change.rawValue, for: .readable)
      list.wait(timeout: Int32(clamping: (end - now) / 1_000_000 + 1))
      // Others look for what it tells, too; there is nobody else yet.
      keeper.change.drain()
    }
  }

  /// Takes the connection to the process, which there is once for each.
  public func connect() throws(SystemError) -> OwnedFileDescriptor? {
    keeper.change.drain()
    return keeper.state.withLock { state in
      guard let connection = state.connection.take() else { return nil }
      state.isTaken = true
      return connection
    }
  }

  /// Notes that the process serves the device.
  public func settle() {
    let isDecided = keeper.state.withLock { state -> EventFD? in
      guard state.isTaken else { return nil }
      state.settledAt = MonotonicClock.nanoseconds
      state.hasServed = true
      guard let trial = state.trial, trial.isStarted else { return nil }
      state.trial = nil
      return trial.isDecided
    }
    isDecided?.signal()
  }

  /// Has the process killed unless it ends by itself soon: it has closed its connection.
  public func abandon() {
    keeper.state.withLock { if $0.isTaken { $0.isAbandoned = true } }
    keeper.wake.signal()
  }

  /// Has the process killed, which hangs or broke the protocol.
  public func reject(_ reason: String) {
    keeper.state.withLock { if $0.isTaken { $0.complaint = $0.complaint ?? reason } }
    keeper.wake.signal()
  }
}
