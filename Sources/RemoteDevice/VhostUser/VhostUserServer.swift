public import HostOS
public import Logging
public import Virtio

/// Serves one virtio device to vhost-user front ends, one at a time, on the thread that calls it.
///
/// The device works on threads of its own. A front end that breaks the protocol is cut off, with one
/// line in the log; the next is served as if nothing had been. Others wait meanwhile.
public final class VhostUserServer {
  private enum Token: UInt64 {
    case stop, listener, connection, wake
  }

  // What may take so long and no longer.
  private static var patience: Duration { .seconds(10) }
  // How soon something that could not be sent is tried again, in milliseconds.
  private static var retry: Int64 { 100 }

  private let device: any VirtioDevice
  private let logger: Logger
  private let log: LimitedLog

  /// Serves `device`, which belongs to the server from now on.
  public init(_ device: any VirtioDevice, logger: Logger) {
    self.device = device
    self.logger = logger
    log = LimitedLog(logger, prefix: device.name)
  }

  /// Serves front ends until there will be none any more, or `stop` is readable.
  ///
  /// What is under way then is ended first.
  ///
  /// - Throws: `SystemError` if the host has no descriptor left to begin with, or waiting fails.
  public func run(
    _ endpoint: consuming VhostUserEndpoint,
    until stop: Int32
  ) throws(SystemError) {
    switch consume endpoint {
    case .connection(let socket): _ = try serve(socket, until: stop)
    case .listener(let listener):
      let poller = try Poller()
      try poller.add(stop, token: Token.stop.rawValue)
      try poller.add(listener.rawValue, token: Token.listener.rawValue)
      while true {
        var isStopping = false
        try poller.wait { isStopping = isStopping || $0.token == Token.stop.rawValue }
        if isStopping { return }
        guard let socket = listener.accept() else { continue }
        do throws(SystemError) {
          guard try serve(socket, until: stop) else { return }
        } catch {
          // Such as too many open files: the next may have more luck.
          log.error("\(error)")
        }
      }
    }
  }

  /// Serves one front end.
  ///
  /// - Returns: Whether there may be another.
  private func serve(
    _ socket: consuming OwnedFileDescriptor,
    until stop: Int32
  ) throws(SystemError) -> Bool {
    let poller = try Poller()
    let wake = try EventFD()
    try poller.add(stop, token: Token.stop.rawValue)
    try poller.add(wake.rawValue, token: Token.wake.rawValue)
    try poller.add(socket.rawValue, token: Token.connection.rawValue)
    logger.info("\(device.name): front end connected")
    let target = VhostUserDevice(device, waking: wake, logger: logger)
    let session = VhostUserSession(
      socket,
      target,
      waking: wake,
      log: log,
      logger: logger
    )
    defer { session.close() }
    do throws(VhostUserError) {
      return try loop(session, poller, wake)
    } catch {
      log.warning("front end cut off: \(error)")
      return true
    }
  }

  private func loop(
    _ session: VhostUserSession,
    _ poller: borrowing Poller,
    _ wake: EventFD
  ) throws(VhostUserError) -> Bool {
    var isSending = false
    while true {
      var events: Set<Token> = []
      do throws(SystemError) {
        if session.isSending != isSending {
          isSending = session.isSending
          try poller.change(
            session.socketNumber,
            to: isSending ? .writable : .readable,
            token: Token.connection.rawValue
          )
        }
        try poller.wait(timeout: timeout(session)) { event in
          if let token = Token(rawValue: event.token) { events.insert(token) }
        }
      } catch {
        throw .host(error)
      }
      if events.contains(.stop) { return false }
      if events.contains(.wake) { wake.drain() }
      if events.contains(.wake) || session.hasUnsentChange { try session.wakeUp() }
      if !events.isDisjoint(with: [.connection, .wake]), try !session.advance() {
        logger.info("\(device.name): front end disconnected")
        return true
      }
      try session.checkPatience(Self.patience)
    }
  }

  /// How long the session may wait, in milliseconds.
  private func timeout(_ session: VhostUserSession) -> Int32? {
    var wait = session.hasUnsentChange ? Self.retry : Int64.max
    if let since = session.waitsSince {
      let left = ContinuousClock.now.duration(to: since + Self.patience).components
      wait = min(wait, max(0, left.seconds * 1000 + left.attoseconds / 1_000_000_000_000_000) + 1)
    }
    return wait == .max ? nil : Int32(clamping: wait)
  }
}
