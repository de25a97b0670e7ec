import HostOS
import Logging
import Synchronization

/// The way to a remote: asks, and waits for answers, each for a bounded time.
///
/// Any thread may ask; the others wait meanwhile. Once a remote has failed it is asked nothing any more. A
/// thread of the link notices when it goes away by itself, and ends what was started for it.
final class MPQEMULink: Sendable {
  private struct State: ~Copyable {
    var channel: MPQEMUChannel?
    var failure: MPQEMUError?
    /// Whether nothing has been answered yet: the remote may still be starting.
    var isFirst = true
  }

  let remote: MPQEMURemote
  private let logger: Logger
  // Held while the remote is asked, for as long as its patience lasts.
  private let state: Mutex<State>
  private let wake: EventFD
  /// Whether a failure is news: before that, whoever connects is told.
  private let isInUse = Atomic(false)
  /// Called once, by whichever thread finds that the remote has failed.
  private let whenFailed = SharedAction()

  /// Talks to a remote over a connected socket.
  init(
    _ socket: consuming OwnedFileDescriptor,
    _ remote: MPQEMURemote,
    waking wake: EventFD,
    tap: MessageTap? = nil,
    logger: Logger
  ) {
    self.remote = remote
    self.wake = wake
    self.logger = logger
    var channel = MPQEMUChannel(socket)
    channel.record(tap)
    state = Mutex(State(channel: channel))
  }

  /// Why the remote is asked nothing any more; `nil` while it is.
  var failure: MPQEMUError? { state.withLock { $0.failure } }

  /// For polling, by the thread that calls ``close()``; -1 when that was done.
  var socketNumber: Int32 { state.withLock { state in state.channel.borrow { $0.rawValue } ?? -1 } }

  /// Has `body` called when the remote fails, by whichever thread finds that, or now if it has; `nil` has
  /// nobody called any more.
  func observeFailure(_ body: (@Sendable () -> Void)?) {
    whenFailed.set(body)
    if failure != nil { tellOfFailure() }
  }

  /// Sends a message that is not answered.
  ///
  /// - Parameters:
  ///   - message: What is sent.
  ///   - descriptors: What goes with it.
  /// - Throws: ``MPQEMUError``; the remote has failed then.
  func tell(_ message: MPQEMUMessage, descriptors: [Int32] = []) throws(MPQEMUError) {
    try perform { (state) throws(MPQEMUError) in
      let deadline = deadline(state)
      try state.channel?.send(message, descriptors, in: remote.generation, deadline)
    }
  }

  /// Sends a message, and waits for the answer.
  ///
  /// - Parameter makeMessage: Called with the lock held, and so in the order of messages; `nil` asks nothing.
  /// - Returns: The answer's value, 0 in one without; `nil` if nothing was asked.
  /// - Throws: ``MPQEMUError``; the remote has failed then.
  func ask(_ makeMessage: () -> MPQEMUMessage?) throws(MPQEMUError) -> UInt64? {
    try perform { (state) throws(MPQEMUError) in
      guard let message = makeMessage() else { return nil }
      let deadline = deadline(state)
      try state.channel?.send(message, in: remote.generation, deadline)
      let value = try state.channel?.receiveReply(
        to: message.command,
        in: remote.generation,
        deadline
      )
      state.isFirst = false
      return value
    }
  }

  /// Sends a message, and waits for the answer.
  @discardableResult
  func ask(_ message: MPQEMUMessage) throws(MPQEMUError) -> UInt64 {
    try ask { message } ?? 0
  }

  /// Notes that the remote has failed, for the first reason there is.
  func fail(_ error: MPQEMUError) {
    guard note(error) else { return }
    if isInUse.load(ordering: .acquiring) {
      logger.error("\(error); its registers read as ones from here on")
    }
    wake.signal()
    tellOfFailure()
  }

  /// Has failures told of in the log from now on.
  func begin() { isInUse.store(true, ordering: .releasing) }

  /// Asks the remote nothing any more, of which nobody needs to hear.
  func end() {
    if note(.closed) { wake.signal() }
  }

  /// Lets go of the socket.
  func close() { state.withLock { $0.channel = nil } }

  private func note(_ error: MPQEMUError) -> Bool {
    state.withLock { state in
      guard state.failure == nil else { return false }
      state.failure = error
      return true
    }
  }

  private func tellOfFailure() {
    whenFailed.callOnce()
  }

  private func deadline(_ state: borrowing State) -> MPQEMUDeadline {
    MPQEMUDeadline(milliseconds: state.isFirst ? remote.firstPatience : remote.patience)
  }

  private func perform<Result: Sendable>(
    _ body: (inout State) throws(MPQEMUError) -> Result
  ) throws(MPQEMUError) -> Result {
    do throws(MPQEMUError) {
      return try state.withLock { (state) throws(MPQEMUError) in
        if let failure = state.failure { throw failure }
        return try body(&state)
      }
    } catch {
      fail(error)
      throw error
    }
  }
}
