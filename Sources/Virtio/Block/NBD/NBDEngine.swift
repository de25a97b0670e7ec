import Glibc
import GuestMemory
import HostOS

/// Does requests through a connection to a server of the network block device protocol, many at once.
///
/// A connection that is lost is looked for anew, while nothing waits but requests: those that were under
/// way, and those that come meanwhile, are kept for as long as ``NBDDisk/Options/reconnect`` says and made
/// again, or fail. A server that takes longer than ``NBDDisk/Options/timeout`` over a request counts as
/// lost, so that none can hold a request for ever.
final class NBDEngine: DiskEngine {
  private enum Token {
    static var connection: UInt64 { 0 }
    static var found: UInt64 { 1 }
    static var timer: UInt64 { 2 }
  }

  // For requests to end when the queue is no more served, and for a first connection.
  private static var patience: Duration { .seconds(10) }

  let disk: NBDDisk
  let requests: DiskRequests
  let buffers = NBDBuffers()
  /// What is under way, by place.
  var transfers: [NBDTransfer?]
  /// In order: what waits for a connection, a buffer, or its turn.
  var deferred: [Int] = []
  /// The request that has to be alone.
  var exclusive: Int?
  /// Whether the connection has turned out to be lost, and that is still to be dealt with.
  var isLost = false
  private(set) var connection: NBDConnection?

  private let log: LimitedLog
  private let poller: Poller
  // There may be a connection to take.
  private let found: EventFD
  // Ticks while something is under way or waits.
  private let timer: TimerFD
  private var ticksAt: ContinuousClock.Instant?
  // What the poller waits for.
  private var registered: (descriptor: Int32, interest: Poller.Interest)?
  // When a request was begun, and when it was first lost, by place.
  private var begun: [ContinuousClock.Instant]
  private var lost: [ContinuousClock.Instant?]
  // Since when there is no connection.
  private var lostSince: ContinuousClock.Instant?
  // Whether it is no fault that there is none.
  private var isAwaited = true
  private var ended: [Int] = []
  // There may be more to take in than the poller shows.
  private var hasMore = false
  private var finishBy: ContinuousClock.Instant?

  /// Makes an engine; without a connection, if there is none at once.
  ///
  /// - Throws: `SystemError` if the host is short of descriptors.
  init(_ disk: NBDDisk, _ requests: DiskRequests, _ log: LimitedLog) throws(SystemError) {
    precondition(requests.count <= NBDConnection.requestLimit, "\(requests.count) requests")
    self.disk = disk
    self.requests = requests
    self.log = log
    let now = ContinuousClock.now
    transfers = Array(repeating: nil, count: requests.count)
    begun = Array(repeating: now, count: requests.count)
    lost = Array(repeating: nil, count: requests.count)
    (found, timer) = (try EventFD(), try TimerFD())
    let poller = try Poller()
    try poller.add(found.rawValue, token: Token.found)
    try poller.add(timer.rawValue, token: Token.timer)
    completions = poller.rawValue
    self.poller = poller
    connection = disk.connections.take(telling: found)
    if connection == nil { lostSince = now }
  }

  deinit {
    disk.connections.forget(found)
    if let connection { disk.connections.giveBack(connection) }
  }

  let completions: Int32?
  var hasCompletions: Bool { false }
  var isBusy: Bool { !ended.isEmpty || hasMore }

  func start(_ index: Int) -> Bool {
    finishBy = nil
    lost[index] = nil
    if connection == nil { connect() }
    if let lostSince, ContinuousClock.now >= lostSince + reconnectTime {
      requests[index].fail(ENOTCONN)
      return true
    }
    guard deferred.isEmpty, mayStart(index) else {
      deferred.append(index)
      return false
    }
    return proceed(index)
  }

  func submit() { step() }

  func takeEnded() -> Int? {
    if ended.isEmpty { step() }
    return ended.popLast()
  }

  func wait() {
    let end = finishBy ?? ContinuousClock.now + Self.patience
    finishBy = end
    guard !isBusy else { return }
    let left = end - ContinuousClock.now
    if left > .zero {
      // Whatever it is, it is looked at by ``step()``.
      try? poller.wait(timeout: Int32(left / .milliseconds(1)) + 1) { _ in }
      step()
    }
    guard ended.isEmpty, ContinuousClock.now >= end else { return }
    // What has no answer by now leaves the guest's RAM alone from here on.
    lose("no answer in \(Self.patience.components.seconds) s")
    connect()
    while let index = deferred.popLast() { fail(index, ETIMEDOUT) }
  }

  /// Whether the request can begin now: there is a connection, and those that have to be alone are.
  func mayStart(_ index: Int) -> Bool {
    guard let connection, !isLost, exclusive == nil else { return false }
    guard connection.generation == disk.connections.generation else { return false }
    return connection.pendingCount == 0 || !splitsBlocks(requests[index])
  }

  /// Notes that a request was given to the server.
  func noteBegin(_ index: Int, _ transfer: NBDTransfer) {
    transfers[index] = transfer
    begun[index] = .now
  }

  /// Does all that can be done at once.
  private func step() {
    hasMore = false
    // It may come when there is a connection by now: nobody else would take it.
    found.drain()
    if let connection { receive(connection) }
    if let ticksAt, ContinuousClock.now >= ticksAt { tick() }
    startDeferred()
    if isLost { lose(NBDConnection.failure) }
    if connection == nil {
      connect()
      startDeferred()
    }
    updateInterest()
    updateTimer()
  }

  private func receive(_ connection: NBDConnection) {
    var reason = ""
    switch connection.move() {
    case .idle: break
    case .more: hasMore = true
    case .lost:
      isLost = true
      reason = NBDConnection.failure
    }
    takeAnswers(connection)
    if isLost {
      lose(reason.isEmpty ? "the server ends" : reason)
    } else if connection.generation != disk.connections.generation, connection.pendingCount == 0 {
      // It does not know the disk's new size.
      drop()
      isAwaited = true
    }
  }

  private func takeAnswers(_ connection: NBDConnection) {
    while let (index, code) = connection.take() {
      guard let transfer = transfers[index] else { continue }
      transfers[index] = nil
      // The latter is a server that ends: it has not done it.
      if code == ENOTCONN || code == ESHUTDOWN {
        isLost = true
        release(transfer, of: index)
        deferred.append(index)
      } else if finish(index, transfer, code) {
        ended.append(index)
      }
    }
  }

  private func startDeferred() {
    while let index = deferred.first, mayStart(index) {
      deferred.removeFirst()
      let count = deferred.count
      if proceed(index) {
        ended.append(index)
      } else if deferred.count > count {
        // It still lacks something, and is the last in line now: it was its turn.
        deferred.insert(deferred.removeLast(), at: 0)
        return
      }
    }
  }

  // MARK: Losing a connection, and finding another

  /// Gives the connection up; what is under way waits for another, or fails.
  ///
  /// - Parameters:
  ///   - reason: Why, for the log.
  ///   - isHanging: Whether the server is still there, and may do later what it has not answered: then
  ///     what changes the disk is not repeated, so that no old write comes after newer ones that the guest
  ///     believes to be the last.
  private func lose(_ reason: String, isHanging: Bool = false) {
    isLost = false
    isAwaited = false
    drop()
    // What was under way, and is not told of by the library.
    for (index, transfer) in transfers.enumerated() {
      guard let transfer else { continue }
      transfers[index] = nil
      release(transfer, of: index)
      if isHanging, requests[index].changesData {
        fail(index, ETIMEDOUT)
      } else {
        deferred.append(index)
      }
    }
    let now = ContinuousClock.now
    if lostSince == nil { lostSince = now }
    for index in deferred where lost[index] == nil { lost[index] = now }
    let seconds = disk.options.reconnect.components.seconds
    log.error(
      "\(disk.path): the connection is lost (\(reason)); requests "
        + (seconds > 0 ? "wait \(seconds) s for the server" : "fail until there is another")
    )
    failOverdue(now)
  }

  /// Lets go of the connection.
  private func drop() {
    if let registered { try? poller.remove(registered.descriptor) }
    registered = nil
    connection?.close()
    connection = nil
  }

  private func connect() {
    guard let made = disk.connections.take(telling: found) else {
      if lostSince == nil { lostSince = .now }
      return
    }
    connection = made
    if let since = lostSince, !isAwaited {
      let time = (ContinuousClock.now - since).components.seconds
      log.warning("\(disk.path): connected again after \(time) s")
    }
    lostSince = nil
  }

  /// How long requests wait for a connection.
  private var reconnectTime: Duration {
    isAwaited ? max(disk.options.reconnect, Self.patience) : disk.options.reconnect
  }

  /// Looks at the times.
  private func tick() {
    ticksAt = nil
    timer.set(after: .max)
    let now = ContinuousClock.now
    let limit = disk.options.timeout
    for index in transfers.indices where transfers[index] != nil && now >= begun[index] + limit {
      lose("no answer in \(limit.components.seconds) s", isHanging: true)
      break
    }
    failOverdue(now)
  }

  /// Fails what has waited for a connection for long enough.
  private func failOverdue(_ now: ContinuousClock.Instant) {
    let patience = reconnectTime
    let isOver = lostSince.map { now >= $0 + patience } ?? false
    var kept: [Int] = []
    var failed = false
    for index in deferred {
      if isOver || lost[index].map({ now >= $0 + patience }) ?? false {
        fail(index, ENOTCONN)
        failed = true
      } else {
        kept.append(index)
      }
    }
    deferred = kept
    if failed, patience > .zero {
      let reason = disk.connections.failure.map { ": \($0)" } ?? ""
      log.error(
        "\(disk.path): no server for requests in \(patience.components.seconds) s\(reason); they fail"
      )
    }
  }

  private func fail(_ index: Int, _ code: Int32) {
    requests[index].fail(code)
    ended.append(index)
  }

  // MARK: What is waited for

  private func updateTimer() {
    guard ticksAt == nil, !deferred.isEmpty || (connection?.pendingCount ?? 0) > 0 else { return }
    let shortest = min(disk.options.timeout, max(disk.options.reconnect, .milliseconds(40)))
    let interval = min(shortest / 4, .seconds(1))
    ticksAt = .now + interval
    timer.set(after: UInt64(interval / .nanoseconds(1)))
  }

  /// Has the poller wait for what the connection waits for.
  private func updateInterest() {
    let wanted = connection?.interest.map { interest in
      var bits: Poller.Interest = []
      if interest.isReading { bits.insert(.readable) }
      if interest.isWriting { bits.insert(.writable) }
      return (descriptor: interest.descriptor, interest: bits)
    }
    if let registered, registered.descriptor != wanted?.descriptor {
      try? poller.remove(registered.descriptor)
      self.registered = nil
    }
    guard let wanted else { return }
    guard registered?.interest != wanted.interest else { return }
    do throws(SystemError) {
      if registered == nil {
        try poller.add(wanted.descriptor, wanted.interest, token: Token.connection)
      } else {
        try poller.change(wanted.descriptor, to: wanted.interest, token: Token.connection)
      }
      registered = wanted
    } catch {
      log.error("\(disk.path): \(error)")
    }
  }
}
