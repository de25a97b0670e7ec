import HostOS
public import Logging
public import Virtio

/// Serves one virtio device to vhost-user front ends, one at a time, on the thread that calls it.
///
/// The device works on threads of its own. A front end that breaks the protocol is cut off, with one
/// line in the log; the next is served as if nothing had been. Others wait meanwhile.
public final class VhostUserServer {
  // What may take so long and no longer, in nanoseconds.
  private static var patience: UInt64 { 10_000_000_000 }
  // How soon something that could not be sent is tried again, in milliseconds.
  private static var retry: Int32 { 100 }

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
    _ endpoint: consuming PeerEndpoint,
    until stop: Int32
  ) throws {
    try endpoint.forEach(until: stop, log) { try serve($0, until: stop) }
  }

  /// Serves one front end.
  ///
  /// - Returns: Whether there may be another.
  private func serve(
    _ socket: consuming OwnedFileDescriptor,
    until stop: Int32
  ) throws(SystemError) -> Bool {
    let wake = try EventFD()
    var peerLoop = try PeerLoop(socket.rawValue, waking: wake, until: stop)
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
      return try loop(session, &peerLoop)
    } catch {
      log.warning("front end cut off: \(error)")
      return true
    }
  }

  private func loop(
    _ session: VhostUserSession,
    _ loop: inout PeerLoop
  ) throws(VhostUserError) -> Bool {
    while true {
      let events: Set<PeerLoop.Event>
      do throws(SystemError) {
        events = try loop.wait(isSending: session.isSending, timeout: timeout(session))
      } catch {
        throw .host(error)
      }
      if events.contains(.stop) { return false }
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
    let end = PeerLoop.timeout(since: session.waitsSince, Self.patience)
    return session.hasUnsentChange ? min(Self.retry, end ?? .max) : end
  }
}
