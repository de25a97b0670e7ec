import HostOS
import Logging
import Synchronization
import Virtio

/// The part of a remote device that its thread holds.
final class VfioUserCore: Sendable {
  private struct State {
    var connection: VfioUserLink?
    /// Who waits for another one to take over.
    var waiters = VfioUserWaiters()
    /// Whether nobody will take over any more, as far as is known.
    var hasFailed = false
    weak var function: VfioUserFunction?
    /// When to look for another server, on the monotonic clock.
    var retryAt: UInt64 = 0
    /// Whether the log says already that nobody is there.
    var isMissed = false
  }

  let options: VfioUserRemote.Options
  let shape: VfioUserShape
  let logger: Logger
  private let source: any ConnectionSource
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
    source = options.source
    self.logger = logger
    log = LimitedLog(logger, prefix: options.name)
    wake = try EventFD()
    let connection = VfioUserLink(
      try Self.first(options),
      patience: options.patience,
      tap: options.recorder?.makeTap(options.name, .vfioUser)
    )
    let deadline = connection.deadline
    try connection.greet(deadline)
    shape = try VfioUserShape(asking: connection, deadline)
    connection.handOver()
    state = Mutex(State(connection: connection))
    connection.setService { [weak self] in self?.serve($0) }
    source.settle()
    for bar in shape.hiddenBARs {
      logger.notice("\(options.name): BAR \(bar) has ports, and the guest does not find it")
    }
  }

  /// Waits for the first server.
  private static func first(_ options: VfioUserRemote.Options) throws -> OwnedFileDescriptor {
    let end = MonotonicClock.nanoseconds &+ UInt64(options.patience) * 1_000_000_000
    while true {
      if let socket = try options.source.connect() { return socket }
      if let failure = options.source.failure { throw VfioUserError.lacks("a process: \(failure)") }
      guard MonotonicClock.nanoseconds < end else {
        throw VfioUserError.silent(.version, seconds: options.patience)
      }
      var list = PollList()
      if let ready = options.source.ready { _ = list.add(ready, for: .readable) }
      list.wait(timeout: Self.wait(until: end))
    }
  }

  /// The server, if one is there.
  var connection: VfioUserLink? { state.withLock { $0.connection } }

  /// A server that is there and is another than `last`.
  ///
  /// Where servers take over from one another it is waited for; `nil` if none comes in time, after which the
  /// function is gone until one does.
  func connection(after last: VfioUserLink?) -> VfioUserLink? {
    var end = MonotonicClock.nanoseconds &+ UInt64(options.takeoverPatience) * 1_000_000_000
    while true {
      let (connection, event, function) = state.withLock { state in
        if let connection = state.connection, connection !== last {
          return (connection as VfioUserLink?, nil as EventFD?, nil as VfioUserFunction?)
        }
        let mayCome = options.takesOver && !state.hasFailed
        return (nil, mayCome ? state.waiters.add() : nil, state.function)
      }
      if let connection { return connection }
      guard let event else { return nil }
      var list = PollList()
      let place = list.add(event.rawValue, for: .readable)
      list.wait(timeout: Self.wait(until: end))
      if list.isReady(place) { continue }
      let late = state.withLock { state in
        state.waiters.remove(event)
        return state.connection.flatMap { $0 === last ? nil : $0 }
      }
      if let late { return late }
      guard MonotonicClock.nanoseconds >= end else { continue }
      guard function?.fail() ?? true else {
        // One takes over just now, which is known here in a moment.
        end = MonotonicClock.nanoseconds &+ 1_000_000_000
        continue
      }
      log.error(
        "no process has taken over for \(options.takeoverPatience) s: the device has failed"
      )
      return nil
    }
  }

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
    state.withLock { state in
      state.hasFailed = true
      state.waiters.wakeAll()
    }
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
        let ready = source.ready
        if let ready { _ = list.add(ready, for: .readable) }
        list.wait(timeout: ready == nil ? Self.wait(until: retryAt) : nil)
        wake.drain()
        if isStopping.load(ordering: .acquiring) { return }
        if ready != nil || MonotonicClock.nanoseconds >= retryAt { findAnother() }
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
    if options.takesOver {
      function?.awaitAnother()
      if error == .ended { source.abandon() } else { source.reject("\(error)") }
      return
    }
    function?.lose()
    let next = "the function is gone until another listens at \(source.place)"
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
      guard let found = try source.connect() else {
        if let failure = source.failure { giveUp(failure) }
        return
      }
      socket = found
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
      if options.takesOver {
        try handOver(to: connection)
        return
      }
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
        log.warning("the server at \(source.place) is no good: \(error)")
        state.withLock { $0.retryAt = MonotonicClock.nanoseconds &+ Self.punishment }
      }
    }
  }

  /// Has a server go on where the one before it stopped, and then lets accesses reach it.
  private func handOver(to connection: VfioUserLink) throws(VfioUserError) {
    while true {
      let function = state.withLock { $0.function }
      try function?.start(connection, isFirst: false)
      let isSettled = state.withLock { state in
        // A board that came meanwhile found nobody.
        guard state.function === function else { return false }
        state.connection = connection
        state.hasFailed = false
        state.waiters.wakeAll()
        return true
      }
      if isSettled { break }
    }
    source.settle()
    logger.notice("\(options.name): another process has taken over")
  }

  /// Nobody will take over any more.
  private func giveUp(_ reason: String) {
    let (function, isNew) = state.withLock { state in
      defer {
        state.hasFailed = true
        state.waiters.wakeAll()
      }
      return (state.function, !state.hasFailed)
    }
    guard isNew else { return }
    function?.fail()
    log.error("the device has failed: \(reason)")
  }
}
