import Glibc
public import HostOS
import Synchronization

/// A unix stream socket with another program at its other end, such as passt or another virtual
/// machine: before each frame comes its length, four bytes with the most significant first.
///
/// When the other end closes, the link goes down until it is there again. A frame says nothing about
/// checksums and segmentation, so that the guest does all of that itself.
public final class StreamBackend: NetBackend {
  /// How a connection comes about.
  enum Source: Sendable {
    /// We connect to this path.
    case path(String)
    /// Others connect to us, one at a time.
    case listener(UnixListenerBox)
    /// It is there, and there will be no other.
    case given
  }

  /// What messages call it.
  public let label: String

  private let source: Source
  // Before another attempt to connect.
  private let timer: TimerFD
  private let current: Mutex<StreamConnection?>

  private static var pause: UInt64 { 1_000_000_000 }

  /// Connects to the socket at `path`; connects again, once a second, after the other end has closed.
  ///
  /// - Throws: `SystemError` if nobody listens there.
  public init(connectingTo path: String) throws(SystemError) {
    label = "unix:\(path)"
    source = .path(path)
    timer = try TimerFD()
    current = Mutex(try StreamConnection(UnixSocket.connect(to: path)))
  }

  /// Waits at `path` for another program to connect, and for another when that has closed.
  ///
  /// - Throws: `SystemError` if the path cannot be had.
  public init(listeningAt path: String) throws(SystemError) {
    label = "unix:\(path)"
    source = .listener(UnixListenerBox(try UnixListener(path: path)))
    timer = try TimerFD()
    current = Mutex(nil)
  }

  /// Uses a connected socket.
  public init(
    adopting descriptor: consuming OwnedFileDescriptor,
    label: String
  ) throws(SystemError) {
    self.label = label
    source = .given
    timer = try TimerFD()
    current = Mutex(try StreamConnection(descriptor))
  }

  /// Whether there is a connection.
  public var isConnected: Bool { connection != nil }
  /// One.
  public var queuePairCount: Int { 1 }
  /// None: a frame says nothing about itself.
  public var features: VirtioFeatures { [] }
  /// Nobody says.
  public var mtu: UInt16? { nil }
  /// Reads and writes the socket.
  public func makePort(_ pair: Int) -> any NetPort { StreamPort(self) }
  /// There are none to choose.
  public func setGuestOffloads(_ features: VirtioFeatures) {}
  /// There is one.
  public func setActivePairs(_ count: Int) {}

  /// The connection, if there is one.
  var connection: StreamConnection? { current.withLock { $0 } }

  /// Gives up a connection.
  func close(_ connection: StreamConnection) {
    // The sending side may wait for it: it is closed when both have let go of it.
    connection.shutDown()
    current.withLock { if $0 === connection { $0 = nil } }
  }

  /// What to do where there is no connection.
  enum Attempt {
    case connected(StreamConnection)
    /// Try again once the descriptor is readable.
    case wait(Int32)
    /// There will be none.
    case never
  }

  /// Tries to get a connection.
  func connect() -> Attempt {
    var new: StreamConnection?
    let waiting: Int32
    switch source {
    case .given: return .never
    case .path(let path):
      waiting = timer.rawValue
      new = try? StreamConnection(UnixSocket.connect(to: path))
      if new == nil { timer.set(after: Self.pause) }
    case .listener(let box):
      waiting = box.listener.rawValue
      if let client = box.listener.accept() { new = try? StreamConnection(client) }
    }
    guard let new else { return .wait(waiting) }
    current.withLock { $0 = new }
    return .connected(new)
  }
}

/// A listener that several may refer to.
final class UnixListenerBox: Sendable {
  let listener: UnixListener

  init(_ listener: consuming UnixListener) { self.listener = listener }
}
