import HostOS
public import Logging
import PCI
import Synchronization

/// A remote of the multi-process protocol, whose device is a function of one board after the other.
///
/// Owned by whoever runs the machine. A process that was started for it ends with it.
public final class MPQEMUDevice: RemoteFunctionMaker {
  /// What messages call the device.
  public let name: String
  let found: MPQEMUDiscovery
  private let keeper: MPQEMUKeeper
  var link: MPQEMULink { keeper.link }
  // What the remote has of no board.
  let nothing: MPQEMUNothing

  /// Connects to a remote, or starts it, and finds out what it is.
  ///
  /// - Parameters:
  ///   - remote: Which remote.
  ///   - name: What messages call the device.
  ///   - recorder: Where all messages are recorded, if they are.
  ///   - logger: Where to say how the remote fares.
  /// - Throws: `SystemError` if there is no remote, ``MPQEMUError`` or ``MPQEMUProxyError`` for one that is no
  ///   good.
  public init(
    _ remote: MPQEMURemote,
    name: String,
    recorder: MessageRecorder? = nil,
    logger: Logger
  ) throws {
    self.name = name
    nothing = try MPQEMUNothing()
    let keeper = try MPQEMUKeeper(
      remote,
      tap: recorder?.makeTap(name, .mpqemu),
      logger: logger
    )
    self.keeper = keeper
    do {
      found = try MPQEMUDiscovery(keeper.link)
    } catch MPQEMUError.closed {
      keeper.stop()
      // Why a process has gone says more than that it has.
      throw keeper.ending.map { .ended($0) } ?? MPQEMUError.closed
    }
    keeper.link.begin()
  }

  /// Whether the remote is still there.
  public var isAlive: Bool { link.failure == nil }

  /// Makes the function of a board.
  ///
  /// - Throws: ``MPQEMUError`` if the remote fails, ``MPQEMUProxyError`` for memory that the protocol cannot
  ///   describe.
  public func makeFunction(_ wiring: RemoteWiring) throws -> any RemotePCIFunction {
    try MPQEMUProxy(self, wiring)
  }
}
