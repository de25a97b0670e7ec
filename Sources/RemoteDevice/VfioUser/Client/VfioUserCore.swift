import HostOS
import Logging
import Synchronization
import Virtio

/// The part of a remote device that its thread holds.
final class VfioUserCore: Sendable {
  private struct State {
    var connection: VfioUserLink?
    weak var function: VfioUserFunction?
    /// When to look for another server, on the monotonic clock.
    var retryAt: UInt64 = 0
    /// Whether the log says already that nobody is there.
    var isMissed = false
  }

  let options: VfioUserRemote.Options
  let shape: VfioUserShape
  let logger: Logger
  private let log: LimitedLog
  // Never held while anything is waited for.
  private let state: Mutex<State>
  private let wake: EventFD
  private let isStopping = Atomic(false)
  private let threadID = Atomic<Int32>(0)

  /// How soon another server is looked for, in nanoseconds.
  private static var retry: UInt64 { 50_000_000 }
  /// The same after one that broke the protocol, or is no good.
  private static var punishment: UInt64 { 1_000_000_000 }

  /// Connects to the server; what it asks before there is a function it does not get.
  init(_ options: VfioUserRemote.Options, logger: Logger) throws {
    self.options = options
    self.logger = logger
    log = LimitedLog(logger, prefix: options.name)
    wake = try EventFD()
    let connection = VfioUserLink(
      try UnixSocket.connect(to: options.path),
      patience: options.patience,
      tap: options.recorder?.makeTap(options.name, .vfioUser)
    )
    let deadline = connection.deadline
    try connection.greet(deadline)
    shape = try VfioUserShape(asking: connection, deadline)
    connection.handOver()
    state = Mutex(State(connection: connection))
    connection.setService { [weak self] in self?.serve($0) }
    for bar in shape.hiddenBARs {
      logger.notice("\(options.name): BAR \(bar) has ports, and the guest does not find it")
    }
  }

  /// The server, if one is there.
  var connection: VfioUserLink? { state.withLock { $0.connection } }

  /// Hands a board's function to the server, now or as soon as there is one.
  ///
  /// - Throws: ``VfioUserError`` if this server does not take it.
  func attach(_ function: VfioUserFunction) throws(VfioUserError) {
    let connection = state.withLock { state in
      state.function = function
      return state.connection
    }
    guard let connection else { return }
    do throws(VfioUserError) {
      try function.start(connection, isFirst: true)
    } catch {
      connection.end(error)
      // One that is gone may come back.
      if error != .ended { throw error }
    }
  }

  /// Forgets a board's function.
  func detach(_ function: VfioUserFunction) {
    state.withLock { state in
      if state.function === function { state.function = nil }
    }
  }

  /// Has the thread look anew at what it waits for.
  func wakeUp() { wake.signal() }

  /// Whether ``run()`` runs on the calling thread.
  var isRunHere: Bool { threadID.load(ordering: .relaxed) == Thread.currentID }

  /// Has ``run()`` return.
  func finish() {
    isStopping.store(true, ordering: .releasing)
    wake.signal()
  }

  /// Reads what the server says, and looks for others, until ``finish()``.
  func run() {
    threadID.store(Thread.currentID, ordering: .relaxed)
    connection?.adopt()
    while !isStopping.load(ordering: .acquiring) {
      // No function is held over the wait: its board would wait for us.
      let (connection, ends, retryAt) = state.withLock { state in
        (state.connection, state.function?.ends, state.retryAt)
      }
      var list = PollList()
      _ = list.add(wake.rawValue, for: .readable)
      guard let connection else {
        list.wait(timeout: Self.wait(until: retryAt))
        wake.drain()
        if MonotonicClock.nanoseconds >= retryAt { findAnother() }
        continue
      }
      connection.watch(&list)
      if let ends { _ = list.add(ends.rawValue, for: .readable) }
      list.wait(timeout: connection.nextDeadline.map { Self.wait(until: $0) })
      wake.drain()
      if let ends, ends.drain() > 0 { VfioUserInterrupts.tellEnd(connection) }
      connection.turn()
      if let failure = connection.failure { lose(connection, failure) }
    }
  }

  /// How long to wait, in milliseconds.
  private static func wait(until time: UInt64) -> Int32 {
    let now = MonotonicClock.nanoseconds
    return time > now ? Int32(clamping: (time - now) / 1_000_000 + 1) : 0
  }

  private func serve(
    _ request: VfioUserRequest
  ) -> Result<VfioUserReply, VfioUserRefusal>? {
    state.withLock { $0.function }?.serve(request)
  }

  /// Gives up the connection; another server is looked for.
  private func lose(_ connection: VfioUserLink, _ error: VfioUserError) {
    let (function, wasMissed) = state.withLock { state in
      state.connection = nil
      let delay = error.isBreach ? Self.punishment : Self.retry
      state.retryAt = MonotonicClock.nanoseconds &+ delay
      defer { state.isMissed = true }
      return (state.function, state.isMissed)
    }
    function?.lose()
    let next = "the function is gone until another listens at \(options.path)"
    if error.isBreach {
      log.warning("server cut off: \(error); \(next)")
    } else if !wasMissed {
      log.warning("server gone: \(error); \(next)")
    }
  }

  /// Connects to who listens now, if anybody does.
  private func findAnother() {
    let socket: OwnedFileDescriptor
    do throws(SystemError) {
      socket = try UnixSocket.connect(to: options.path)
    } catch {
      state.withLock { $0.retryAt = MonotonicClock.nanoseconds &+ Self.retry }
      return
    }
    let connection = VfioUserLink(
      socket,
      patience: options.patience,
      tap: options.recorder?.makeTap(options.name, .vfioUser)
    )
    do throws(VfioUserError) {
      let deadline = connection.deadline
      try connection.greet(deadline)
      let shape = try VfioUserShape(asking: connection, deadline)
      guard shape == self.shape else { throw .lacks("the function that the one before it had") }
      connection.setService { [weak self] in self?.serve($0) }
      // From here on a board that comes finds the server; one that is there gets it now.
      let function = state.withLock { state in
        state.connection = connection
        return state.function
      }
      try function?.start(connection, isFirst: false)
      state.withLock { $0.isMissed = false }
      logger.notice("\(options.name): another server has the device; the guest has to set it up")
    } catch {
      lose(connection, connection.end(error))
      if !error.isBreach, error != .ended {
        log.warning("the server at \(options.path) is no good: \(error)")
        state.withLock { $0.retryAt = MonotonicClock.nanoseconds &+ Self.punishment }
      }
    }
  }
}
