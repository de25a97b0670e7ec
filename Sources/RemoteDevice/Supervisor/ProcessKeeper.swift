import Glibc
import HostOS
import Logging
import Synchronization

/// What a supervisor and its thread share, and what the thread does.
final class ProcessKeeper: Sendable {
  struct State: ~Copyable {
    var program: DeviceProgram
    var phase = DeviceSupervisor.Phase.starting
    /// Our end of the connection to the process, until somebody takes it.
    var connection: OwnedFileDescriptor?
    /// Whether somebody has taken it.
    ///
    /// What is said of a process before that is about the one before it, whose end its user may see later than we do.
    var isTaken = false
    /// When the process took over, on the monotonic clock.
    var settledAt: UInt64?
    /// What its user found wrong with it.
    var complaint: String?
    /// Whether it closed its connection.
    var isAbandoned = false
    /// A signal that it is to have.
    var signal: Int32?
    var isReplaced = false
    /// Whether no process is to run for now, who waits for that, and how the last one has ended.
    var isHeld = false
    var isGone: EventFD?
    var isReleased: Bool?
    var hasEndedInOrder = false
    var endCode: Int32?
    var isStopping = false
    /// How often a process was followed by another.
    var restarts = 0
    /// What the process has told of its sandbox.
    var sandbox: String?
    /// What it has told of its device.
    var report: String?
    var hasRefused = false
    /// Whether a process has ever served the device.
    var hasServed = false
    /// A program that has to show that it serves the device.
    var trial: Trial?
    /// What became of the last one, if it was no good.
    var failedTrial: String?
  }

  /// A replacement that may fail.
  struct Trial {
    /// What served the device before.
    var previous: DeviceProgram
    /// Whether its process has been started.
    var isStarted = false
    /// Signalled when it has been decided.
    var isDecided: EventFD
  }

  /// Why a process is no longer there.
  private enum End {
    case died(String)
    /// It says so itself, before it ever served the device: another would say the same.
    case refused(String)
    case replaced
    case held
    case stopped
  }

  let name: String
  let state: Mutex<State>
  /// Signalled when there is a connection to take, or there will be none.
  let change: EventFD
  /// Signalled when a process has told of its device.
  let reported: EventFD
  /// Signalled when the thread has something to do.
  let wake: EventFD
  private let policy: RestartPolicy
  private let logger: Logger
  private let null: OwnedFileDescriptor

  /// How long a process may take to end when it is told to, in nanoseconds.
  private static var grace: UInt64 { 1_000_000_000 }
  /// The same, where what it leaves is to be saved: it ends what is under way, such as a flush.
  private static var holdGrace: UInt64 { 8_000_000_000 }

  init(
    _ name: String,
    _ program: DeviceProgram,
    _ policy: RestartPolicy,
    _ logger: Logger
  ) throws(SystemError) {
    self.name = name
    self.policy = policy
    self.logger = logger
    change = try EventFD()
    wake = try EventFD()
    reported = try EventFD()
    null = OwnedFileDescriptor(
      adopting: try retrying("open", "/dev/null") { unsafe open("/dev/null", O_RDWR | O_CLOEXEC) }
    )
    state = Mutex(State(program: program))
  }

  /// Has ``run()`` end the process and return.
  func stop() {
    state.withLock { $0.isStopping = true }
    wake.signal()
  }

  /// Starts the process, again and again, until ``stop()``.
  func run() {
    var count = 0
    while true {
      let cause: String
      switch keep(&count) {
      case .stopped:
        enter(.ended)
        return
      case .replaced:
        logger.notice("\(name): its process is replaced")
        state.withLock { $0.isReplaced = false }
        count = 0
        continue
      case .held:
        enter(.waiting)
        state.withLock { $0.isGone }?.signal()
        guard waitForReplacement() else { return }
        count = 0
        continue
      case .refused(let reason):
        state.withLock { $0.hasRefused = true }
        enter(.failed(reason))
        guard waitForReplacement() else { return }
        count = 0
        continue
      case .died(let reason): cause = reason
      }
      if goBack(cause) {
        count = 0
        continue
      }
      count += 1
      guard let pause = policy.pause(after: count) else {
        logger.error("\(name): \(cause); \(count) processes died in a row, no other is started")
        enter(.failed("its processes die: the last one \(cause)"))
        guard waitForReplacement() else { return }
        count = 0
        continue
      }
      let delay = pause == 0 ? "" : " in \(pause / 1_000_000) ms"
      logger.warning("\(name): its process \(cause); another is started\(delay)")
      state.withLock { $0.restarts += 1 }
      enter(.waiting)
      sleep(pause)
    }
  }

  /// Goes back to the program before, if the one that has ended was to show that it serves the device.
  private func goBack(_ cause: String) -> Bool {
    let isDecided = state.withLock { state -> EventFD? in
      guard let trial = state.trial, trial.isStarted else { return nil }
      state.program = trial.previous
      state.trial = nil
      state.failedTrial = cause
      return trial.isDecided
    }
    guard let isDecided else { return false }
    logger.error("\(name): its process \(cause); the program before is started again")
    isDecided.signal()
    return true
  }

  /// Starts a process and watches it to its end.
  private func keep(_ count: inout Int) -> End {
    if let end = wanted { return end }
    let program = state.withLock { state in
      state.isTaken = false
      state.settledAt = nil
      state.complaint = nil
      state.isAbandoned = false
      state.signal = nil
      state.sandbox = nil
      state.trial?.isStarted = true
      return state.program
    }
    do throws(SystemError) {
      let pair = try SocketPair()
      var pipe = try Pipe()
      guard let reading = pipe.reading.take(), let writing = pipe.writing.take() else {
        return .stopped
      }
      var output = try ProcessOutput(reading, of: name, logger: logger)
      output.keepsComplaint = !state.withLock { $0.hasServed }
      var child = try ChildProcess(
        program.path,
        program.arguments,
        environment: program.environment,
        descriptors: [null.rawValue, null.rawValue, writing.rawValue, pair.far.rawValue]
          + program.descriptors,
        hasOwnGroup: true
      )
      // What is left is the process's.
      _ = consume writing
      try FileIO.setNonBlocking(pair.near.rawValue)
      let id = child.id
      let line = try OwnedFileDescriptor(duplicating: pair.near.rawValue)
      hand(consume pair, id)
      var end = watch(&child, &output)
      output.finish()
      if let complaint = output.takeComplaint() {
        // Bad input is bad input the next time, too.
        if case .died = end, state.withLock({ $0.endCode }) == 2 {
          end = .refused(complaint)
        } else {
          logger.warning("\(name): \(complaint)")
        }
      }
      waitForHangUp(line)
      // Whoever has not taken it yet would find nobody there.
      state.withLock { $0.connection = nil }
      if isWell { count = 0 }
      return end
    } catch {
      return .died("cannot be started: \(error)")
    }
  }

  private func hand(_ pair: consuming SocketPair, _ id: Int32) {
    var near: OwnedFileDescriptor? = pair.near
    state.withLock { state in
      state.connection = near.take()
      state.phase = .running(id)
    }
    change.signal()
    logger.debug("\(name): process \(id) started")
  }

  /// Waits for the end of the process, or ends it when that is wanted.
  private func watch(_ child: inout ChildProcess, _ output: inout ProcessOutput) -> End {
    var deadline: UInt64?
    while true {
      var list = PollList()
      let place = list.add(child.pollable, for: .readable)
      _ = list.add(wake.rawValue, for: .readable)
      if let number = output.pollable { _ = list.add(number, for: .readable) }
      let next = [deadline, output.resumesAt].compactMap { $0 }.min()
      list.wait(timeout: next.map { Self.milliseconds(until: $0) })
      output.advance()
      if let sandbox = output.takeReport() { state.withLock { $0.sandbox = sandbox } }
      if let report = output.takeDeviceReport() {
        state.withLock { $0.report = report }
        reported.signal()
      }
      if list.isReady(place) { return ended(&child) }
      wake.drain()
      let (complaint, signal) = state.withLock { state in (state.complaint, state.signal.take()) }
      if let signal { child.signal(signal) }
      if complaint != nil { child.signal(SIGKILL) }
      let isWanted = wanted == nil
      guard !isWanted || state.withLock({ $0.isAbandoned }) else { continue }
      guard let end = deadline else {
        if !isWanted { child.signal(SIGTERM) }
        let isHeld = state.withLock { $0.isHeld }
        deadline = MonotonicClock.nanoseconds &+ (isHeld ? Self.holdGrace : Self.grace)
        continue
      }
      guard MonotonicClock.nanoseconds >= end else { continue }
      state.withLock { $0.complaint = $0.complaint ?? "it closed its connection and went on" }
      child.signal(SIGKILL)
    }
  }

  /// Waits until no process of the device's has its end of the connection, which a process may have left to one
  /// that it has started: two that serve the same rings would do requests twice.
  private func waitForHangUp(_ line: borrowing OwnedFileDescriptor) {
    let end = MonotonicClock.nanoseconds &+ Self.grace
    while MonotonicClock.nanoseconds < end {
      var list = PollList()
      let place = list.add(line.rawValue, for: .readable)
      list.wait(timeout: 10)
      if list.hasHungUp(place) { return }
      // It may be readable all the time.
      usleep(500)
    }
    logger.error("\(name): something that its process has started does not end")
  }

  private func ended(_ child: inout ChildProcess) -> End {
    // What it has started goes with it.
    child.signalGroup(SIGKILL)
    let ending = child.wait()
    state.withLock { state in
      state.hasEndedInOrder = ending == .exited(0)
      state.endCode = if case .exited(let code) = ending { code } else { nil }
    }
    if let end = wanted { return end }
    if let complaint = state.withLock({ $0.complaint }) {
      return .died("\(child.id) was killed: \(complaint)")
    }
    switch ending {
    case .exited(SystemCallFilter.refusalCode):
      return .died("\(child.id) made a system call that its sandbox refuses")
    case .exited(let code): return .died("\(child.id) exited with code \(code)")
    case .signalled(SIGSYS):
      return .died("\(child.id) made a system call that it may not make (SIGSYS)")
    case .signalled(let number):
      return .died("\(child.id) was ended by \(Signals.name(of: number))")
    }
  }

  /// What others want of the process, other than that it runs.
  private var wanted: End? {
    state.withLock { state in
      if state.isStopping { return .stopped }
      if state.isHeld { return .held }
      guard state.isReplaced else { return nil }
      return .replaced
    }
  }

  /// Whether the process has served the device for long enough.
  private var isWell: Bool {
    guard let settledAt = state.withLock({ $0.settledAt }) else { return false }
    return MonotonicClock.nanoseconds &- settledAt >= policy.wellAfter
  }

  private func enter(_ phase: DeviceSupervisor.Phase) {
    state.withLock { $0.phase = phase }
    change.signal()
  }

  /// Waits for so many nanoseconds, or until there is something to do.
  private func sleep(_ pause: UInt64) {
    let end = MonotonicClock.nanoseconds &+ pause
    while wanted == nil, MonotonicClock.nanoseconds < end {
      wait(Self.milliseconds(until: end))
    }
  }

  /// Waits for another program, or for the end of a hold; false if there will be none.
  private func waitForReplacement() -> Bool {
    while true {
      switch wanted {
      case .stopped: return false
      case .replaced: return true
      case .held:
        // Of a device that had failed, too.
        state.withLock { $0.isGone }?.signal()
        wait(nil)
      case .died, .refused: wait(nil)
      case nil:
        if state.withLock({ $0.isReleased.take() }) == true { return true }
        wait(nil)
      }
    }
  }

  private func wait(_ timeout: Int32?) {
    var list = PollList()
    _ = list.add(wake.rawValue, for: .readable)
    list.wait(timeout: timeout)
    wake.drain()
  }

  private static func milliseconds(until end: UInt64) -> Int32 {
    let now = MonotonicClock.nanoseconds
    return end > now ? Int32(clamping: (end - now) / 1_000_000 + 1) : 0
  }
}
