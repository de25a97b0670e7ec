import DeviceModel
import HostOS
public import Logging
public import PCI
public import Virtio

/// Serves one PCI function to vfio-user clients, one at a time, on the thread that calls it.
///
/// The function works on threads of its own. A client that breaks the protocol is cut off, with one line in the
/// log; the next finds the function as at power-on. Others wait meanwhile.
public final class VfioUserServer {
  /// How long the rest of a message, or the taking of one, may take, in nanoseconds.
  package var patience: UInt64 = 10_000_000_000
  /// How long a client may take to answer what it is asked, in nanoseconds.
  package var replyPatience: UInt64 = 5_000_000_000

  private let makeFunction: () throws -> HostedFunction
  // The one that nobody has used yet.
  private var fresh: HostedFunction?
  private let hub: IOHub
  private let name: String
  private let logger: Logger
  private let log: LimitedLog

  /// Serves the functions that `makeFunction` makes, one for each client: who has gone may hold on to the
  /// doorbells that it was given.
  ///
  /// A function is gone before the next is made.
  ///
  /// - Throws: `SystemError` if the host has no descriptor or thread left, or what `makeFunction` throws.
  public init(
    logger: Logger,
    _ makeFunction: @escaping (HostedWiring) throws -> any PCIFunction
  ) throws {
    let hub = try IOHub(policy: .automask)
    self.hub = hub
    self.makeFunction = {
      try HostedFunction(
        line: hub.makeLine(0),
        messages: HostedMessages(),
        doorbells: HostedDoorbells(),
        logger: logger,
        makeFunction
      )
    }
    let first = try self.makeFunction()
    fresh = first
    name = first.function.name
    self.logger = logger
    log = LimitedLog(logger, prefix: name)
  }

  /// Serves `device`, which belongs to the server from now on, as a virtio function.
  ///
  /// - Parameters:
  ///   - device: The device.
  ///   - features: What is offered beside the features of the device's type.
  ///   - state: Where its state is kept for another process, and where that of one before may be: the first
  ///     client then finds the function as that one left it. For one client; `nil` for none.
  ///   - logger: Where to say what a driver did wrong.
  /// - Throws: `SystemError` if the host has no descriptor or thread left, or `VirtioStateError` for a state
  ///   that is none of this device's.
  public convenience init(
    _ device: any VirtioDevice,
    features: VirtioFeatures = .common,
    state: VirtioStateFile? = nil,
    logger: Logger
  ) throws {
    try self.init(logger: logger) { wiring in
      let transport = try PCITransport(
        device,
        memory: wiring.memory,
        line: wiring.line,
        messages: wiring.messages,
        doorbells: wiring.doorbells,
        features: features,
        logger: wiring.logger
      )
      if let state, try transport.keepState(in: state) {
        logger.notice("\(device.name): goes on where another process stopped")
      }
      return transport
    }
  }

  /// Serves clients until there will be none any more, or `stop` is readable.
  ///
  /// What is under way then is ended first.
  ///
  /// - Throws: `SystemError` if the host has no descriptor left to begin with, or waiting fails, or what making
  ///   the function throws for a client that is connected from the start.
  public func run(
    _ endpoint: consuming PeerEndpoint,
    until stop: Int32
  ) throws {
    try endpoint.forEach(until: stop, log) { try serve($0, until: stop) }
  }

  /// Serves one client.
  ///
  /// - Returns: Whether there may be another.
  private func serve(
    _ socket: consuming OwnedFileDescriptor,
    until stop: Int32
  ) throws -> Bool {
    let function = try fresh.take() ?? makeFunction()
    let wake = try EventFD()
    var peerLoop = try PeerLoop(socket.rawValue, waking: wake, until: stop)
    logger.info("\(name): client connected")
    let connection = VfioUserConnection(socket, patience: replyPatience, waking: wake)
    let session = VfioUserSession(connection, function, hub, waking: wake, log: log)
    defer { session.close() }
    do throws(VfioUserError) {
      return try loop(session, &peerLoop)
    } catch {
      if error == .ended {
        logger.info("\(name): client disconnected")
      } else {
        log.warning("client cut off: \(error)")
      }
      return true
    }
  }

  private func loop(
    _ session: VfioUserSession,
    _ loop: inout PeerLoop
  ) throws(VfioUserError) -> Bool {
    let connection = session.connection
    while true {
      let events: Set<PeerLoop.Event>
      do throws(SystemError) {
        events = try loop.wait(
          isSending: connection.isSending,
          timeout: PeerLoop.timeout(since: connection.waitsSince, patience)
        )
      } catch {
        throw .host(error)
      }
      if events.contains(.stop) { return false }
      if events.contains(.wake) { try session.wakeUp() }
      if !events.isEmpty, try !session.advance() {
        logger.info("\(name): client disconnected")
        return true
      }
      try session.checkPatience(patience)
    }
  }
}
