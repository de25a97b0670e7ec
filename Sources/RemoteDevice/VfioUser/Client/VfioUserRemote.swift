import HostOS
public import Logging
import PCI
import Synchronization

/// A vfio-user server at a socket, whose device is a function of one board after the other.
///
/// Owned by whoever runs the machine; a thread of its own reads what the server says, and looks for another
/// server when one is gone.
public final class VfioUserRemote: RemoteFunctionMaker {
  /// Where the server is, and how it is treated.
  public struct Options: Sendable {
    /// Where connections to the server come from.
    public var source: any ConnectionSource
    /// The device's name in log lines and of its thread, such as `remote0`.
    public var name: String
    /// How long a server may take for one thing that is asked of it, in seconds.
    public var patience = 5
    /// Where all messages are recorded, if they are.
    public var recorder: MessageRecorder?
    /// Whether a server goes on where the one before it stopped: the guest's accesses then wait for it.
    public var takesOver: Bool
    /// How the server reaches the guest's memory.
    public var dma = DMAMode.shared
    /// How long the guest's accesses wait for a server to take over, in seconds; then the device has failed.
    public var takeoverPatience = 10

    /// Describes the device of the server at `path`.
    public init(path: String, name: String) {
      self.init(source: ListeningPath(path), name: name, takesOver: false)
    }

    /// Describes the device of the server that `source` knows.
    public init(source: any ConnectionSource, name: String, takesOver: Bool) {
      self.source = source
      self.name = name
      self.takesOver = takesOver
    }
  }

  private let core: VfioUserCore
  private let thread: Mutex<Thread?>

  /// Connects to the server, which must be there.
  ///
  /// - Throws: ``VfioUserError`` for what it did wrong, or `SystemError` if the host failed.
  public init(_ options: Options, logger: Logger) throws {
    let core = try VfioUserCore(options, logger: logger)
    self.core = core
    thread = Mutex(try Thread(options.name) { core.run() })
  }

  deinit {
    core.finish()
    guard let thread = thread.withLock({ $0.take() }) else { return }
    // A function may hold the last of us while the thread looks at it: the thread then ends by itself.
    if core.isRunHere { thread.detach() } else { thread.join() }
  }

  /// The device's name.
  public var name: String { core.options.name }
  /// What the device is.
  var shape: VfioUserShape { core.shape }
  /// How the server reaches the guest's memory.
  var dma: DMAMode { core.options.dma }
  /// Whether a server goes on where the one before it stopped.
  var takesOver: Bool { core.options.takesOver }

  /// A server to talk to that is another than `last`; waits for one that takes over.
  func connection(after last: VfioUserLink?) -> VfioUserLink? { core.connection(after: last) }

  /// Whether the server's device can be saved with the machine, and restored.
  ///
  /// - Throws: ``VfioUserError`` for what the server did wrong.
  public func offersMigration() throws(VfioUserError) -> Bool {
    guard let connection = core.connection(after: nil) else { throw .ended }
    return try connection.offersMigration()
  }

  /// Makes the function of a board.
  ///
  /// - Throws: ``VfioUserError`` if the server does not take the board.
  public func makeFunction(_ wiring: RemoteWiring) throws -> any RemotePCIFunction {
    let function = try VfioUserFunction(self, wiring, logger: core.logger)
    try core.attach(function)
    return function
  }

  /// Has the thread look anew at what it waits for.
  func wake() { core.wakeUp() }

  func detach(_ function: VfioUserFunction) { core.detach(function) }
}
