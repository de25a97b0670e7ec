public import HostOS
public import Logging
import PCI
import Virtio

/// Serves one PCI function to a proxy of the multi-process protocol, such as QEMU's `x-pci-proxy-dev`, on the
/// thread that calls it.
///
/// The function works on threads of its own, and interrupts through a hub. A proxy that breaks the protocol is cut
/// off, with one line in the log.
public final class MPQEMUServer {
  private enum Token: UInt64 {
    case stop, connection, wake
  }

  // What may take so long and no longer.
  private static var patience: Duration { .seconds(10) }

  private let function: HostedFunction
  private let hub: IOHub
  private let log: LimitedLog
  private let logger: Logger

  /// Serves `function`, whose pin is wired to pin 0 of `hub`.
  public init(_ function: HostedFunction, hub: IOHub, logger: Logger) {
    self.function = function
    self.hub = hub
    self.logger = logger
    log = LimitedLog(logger, prefix: function.function.name)
  }

  /// Serves the proxy at the other end of `socket` until it has gone, or `stop` is readable.
  ///
  /// What is under way then is ended, and the function is as if nobody had used it.
  ///
  /// - Throws: `SystemError` if the host has no descriptor left, or waiting fails.
  public func run(
    _ socket: consuming OwnedFileDescriptor,
    until stop: Int32
  ) throws(SystemError) {
    let poller = try Poller()
    let wake = try EventFD()
    try poller.add(stop, token: Token.stop.rawValue)
    try poller.add(wake.rawValue, token: Token.wake.rawValue)
    try poller.add(socket.rawValue, token: Token.connection.rawValue)
    let session = MPQEMUSession(socket, function, hub, waking: wake, logger: logger)
    defer { session.close() }
    do throws(MPQEMUError) {
      try loop(session, poller, wake)
    } catch {
      log.warning("proxy cut off: \(error)")
    }
  }

  private func loop(
    _ session: MPQEMUSession,
    _ poller: borrowing Poller,
    _ wake: EventFD
  ) throws(MPQEMUError) {
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
      if events.contains(.stop) { return }
      if events.contains(.wake) {
        wake.drain()
        try session.checkMemory()
      }
      if !events.isEmpty, try !session.advance() {
        logger.info("\(function.function.name): proxy disconnected")
        return
      }
      try session.checkPatience(Self.patience)
    }
  }

  /// How long the session may wait, in milliseconds.
  private func timeout(_ session: MPQEMUSession) -> Int32? {
    session.waitsSince.map { since in
      let left = ContinuousClock.now.duration(to: since + Self.patience).components
      return Int32(
        clamping: max(0, left.seconds * 1000 + left.attoseconds / 1_000_000_000_000_000) + 1
      )
    }
  }
}
