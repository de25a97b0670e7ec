import Glibc
import HostOS
import Logging
import Synchronization

/// Answers requests about a machine that runs, at a unix socket that is only its user's.
///
/// Each client makes one request, one line, and gets an answer whose first line is `ok` or `error: ` and the reason. All are
/// served by one thread, which waits for none of them: clients are few, have so long and no longer, and a request that takes its
/// time is done on another thread, one at a time. Letting go of the server removes the socket.
final class ControlServer: Sendable {
  /// The most clients at once; others wait to be accepted.
  static var clientLimit: Int { 8 }

  private let shared: Shared
  private let thread: Mutex<Thread?>

  /// What the threads share.
  private final class Shared: Sendable {
    let handlers: ControlHandlers
    let wake: EventFD
    let state = Mutex(State())

    init(_ handlers: ControlHandlers) throws(SystemError) {
      self.handlers = handlers
      wake = try EventFD()
    }
  }

  private struct State {
    var isStopping = false
    /// For whom something is being done, by number; and its answer when it is.
    var job: UInt64?
    var answer: String?
  }

  /// Listens at `path`; `patience` is how long a client may take for its request and its answer, in nanoseconds.
  ///
  /// - Throws: ``MachineError/control(path:reason:)``, or `SystemError` if the host has no thread left.
  init(
    _ path: String,
    _ handlers: ControlHandlers,
    patience: UInt64 = 10_000_000_000,
    logger: Logger
  ) throws {
    let listener: UnixListener
    do throws(SystemError) {
      listener = try UnixListener(path: path, backlog: 16, mode: 0o600)
    } catch {
      throw MachineError.control(path: path, reason: error.reason)
    }
    let shared = try Shared(handlers)
    self.shared = shared
    let handed = Mutex<UnixListener?>(listener)
    thread = Mutex(
      try Thread("control") {
        guard let listener = handed.withLock({ $0.take() }) else { return }
        Self.run(listener, shared, patience, logger)
      }
    )
  }

  /// Waits until nothing is done for a client any more.
  deinit {
    shared.state.withLock { $0.isStopping = true }
    shared.wake.signal()
    thread.withLock { $0 = nil }
  }

  private static func run(
    _ listener: consuming UnixListener,
    _ shared: Shared,
    _ patience: UInt64,
    _ logger: Logger
  ) {
    var clients: [UInt64: ControlClient] = [:]
    var next: UInt64 = 0
    var job: Thread?
    while true {
      var list = PollList()
      _ = list.add(shared.wake.rawValue, for: .readable)
      let waiting = clients.count < clientLimit ? list.add(listener.rawValue, for: .readable) : nil
      let places = clients.mapValues { list.add($0.number, for: $0.interest) }
      let deadline = clients.values.compactMap(\.deadline).min()
      list.wait(timeout: deadline.map { milliseconds(until: $0) })
      shared.wake.drain()
      if shared.state.withLock({ $0.isStopping }) { break }
      for (number, client) in clients {
        guard let place = places[number], list.isReady(place) else { continue }
        // Whoever has gone is not answered; what is done for it is done all the same.
        if list.hasHungUp(place) {
          clients[number] = nil
          continue
        }
        switch client.advance() {
        case .waiting: break
        case .ended: clients[number] = nil
        case .request(let line):
          if let answer = perform(line, for: number, &job, shared, logger) { client.answer(answer) }
        }
      }
      if let (number, answer) = takeAnswer(shared) {
        job = nil
        clients[number]?.answer(answer)
      }
      let now = MonotonicClock.nanoseconds
      clients = clients.filter { $0.value.deadline.map { now < $0 } ?? true }
      if let waiting, list.isReady(waiting), let socket = listener.accept() {
        clients[next] = ControlClient(socket, patience: patience)
        next += 1
      }
    }
    // What is under way is waited for: a machine that was saved ends, and whoever asked for that is told.
    _ = consume job
    if let (number, answer) = takeAnswer(shared) { clients[number]?.answer(answer) }
    for client in clients.values where client.interest == .writable { _ = client.advance() }
  }

  /// The answer to what was done last, and whose it is.
  private static func takeAnswer(_ shared: Shared) -> (UInt64, String)? {
    shared.state.withLock { state in
      guard let number = state.job, let answer = state.answer.take() else { return nil }
      state.job = nil
      return (number, answer)
    }
  }

  /// Does what a client asks.
  ///
  /// - Returns: The answer; `nil` if it comes later.
  private static func perform(
    _ line: String,
    for number: UInt64,
    _ job: inout Thread?,
    _ shared: Shared,
    _ logger: Logger
  ) -> String? {
    let handlers = shared.handlers
    switch ControlRequest(line) {
    case nil:
      return
        "error: \(line.prefix(40)): not a request; say inspect, inspect --json, replace DEVICE --with PROGRAM, "
        + "replace DEVICE --options TEXT or save FILE\n"
    case .inspect(let isJSON)?:
      let report = handlers.inspect()
      return "ok\n" + (isJSON ? report.json : report.text)
    case .replace(let device, let change)?:
      logger.notice("\(device): asked to be replaced")
      return begin(number, &job, shared) { handlers.replace(device, change) }
    case .save(let path)?:
      logger.notice("asked to save the machine to \(path)")
      return begin(number, &job, shared) { handlers.save(path) }
    }
  }

  private static func begin(
    _ number: UInt64,
    _ job: inout Thread?,
    _ shared: Shared,
    _ body: @escaping @Sendable () -> String?
  ) -> String? {
    guard shared.state.withLock({ $0.job == nil }) else {
      return "error: another request is being done; ask again when it is\n"
    }
    shared.state.withLock { $0.job = number }
    do throws(SystemError) {
      job = try Thread("control.job") {
        let failure = body()
        shared.state.withLock { $0.answer = failure.map { "error: \($0)\n" } ?? "ok\n" }
        shared.wake.signal()
      }
      return nil
    } catch {
      shared.state.withLock { $0.job = nil }
      return "error: \(error)\n"
    }
  }

  private static func milliseconds(until end: UInt64) -> Int32 {
    let now = MonotonicClock.nanoseconds
    return end > now ? Int32(clamping: (end - now) / 1_000_000 + 1) : 0
  }
}
