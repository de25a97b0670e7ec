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
  // What may take so long and no longer, in nanoseconds.
  private static var patience: UInt64 { 10_000_000_000 }

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
    let wake = try EventFD()
    var peerLoop = try PeerLoop(socket.rawValue, waking: wake, until: stop)
    let session = MPQEMUSession(socket, function, hub, waking: wake, logger: logger)
    defer { session.close() }
    do throws(MPQEMUError) {
      try loop(session, &peerLoop)
    } catch {
      log.warning("proxy cut off: \(error)")
    }
  }

  private func loop(
    _ session: MPQEMUSession,
    _ loop: inout PeerLoop
  ) throws(MPQEMUError) {
    while true {
      let events: Set<PeerLoop.Event>
      do throws(SystemError) {
        events = try loop.wait(
          isSending: session.isSending,
          timeout: PeerLoop.timeout(since: session.waitsSince, Self.patience)
        )
      } catch {
        throw .host(error)
      }
      if events.contains(.stop) { return }
      if events.contains(.wake) { try session.checkMemory() }
      if !events.isEmpty, try !session.advance() {
        logger.info("\(function.function.name): proxy disconnected")
        return
      }
      try session.checkPatience(Self.patience)
    }
  }
}
