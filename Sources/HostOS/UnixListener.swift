import CLinux
import Glibc
import Synchronization

/// A unix stream socket that waits for clients, and whose file goes when it does.
///
/// In a process that was shut in (``Sandbox``) the socket itself and its file are the monitor's, which hands each client on.
public struct UnixListener: ~Copyable, Sendable {
  private let descriptor: OwnedFileDescriptor

  /// Who has the socket.
  enum Holder: Sendable {
    /// This process, with the file that goes with it.
    case own(path: String?)
    /// The monitor: the descriptor is one end of the way that clients come.
    case monitor
  }

  // By descriptor.
  private static let holders = Mutex<[Int32: Holder]>([:])

  /// Takes over a socket that listens already; its file stays when this goes.
  public init(adopting descriptor: consuming OwnedFileDescriptor) throws(SystemError) {
    try FileIO.setNonBlocking(descriptor.rawValue)
    Self.note(descriptor.rawValue, .own(path: nil))
    self.descriptor = descriptor
  }

  /// Listens at `path`; a socket that a dead process left there is replaced.
  ///
  /// - Parameters:
  ///   - path: At most 107 bytes (unix(7)).
  ///   - backlog: How many clients may wait.
  ///   - mode: Who may connect, as the file's permissions say; what the user's mask leaves if not given.
  /// - Throws: ``SystemError``, `EADDRINUSE` if somebody listens there or another file is in the way.
  public init(path: String, backlog: Int32 = 1, mode: UInt32? = nil) throws(SystemError) {
    let number = try retrying("socket") {
      socket(
        AF_UNIX,
        Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue),
        0
      )
    }
    let descriptor = OwnedFileDescriptor(adopting: number)
    let address = try UnixSocket.address(path, "bind")
    if Self.isAbandoned(address, path) { _ = unsafe unlink(path) }
    // The file has it from the first moment on (unix(7)).
    if let mode { _ = try retrying("fchmod", path) { fchmod(number, mode) } }
    _ = try retrying("bind", path) {
      unsafe UnixSocket.withAddress(address) { unsafe bind(number, $0, $1) }
    }
    _ = try retrying("listen", path) { listen(number, backlog) }
    Self.note(descriptor.rawValue, .own(path: path))
    self.descriptor = descriptor
  }

  // Before the number can be another's: members go after this.
  deinit {
    let number = descriptor.rawValue
    let holder = Self.holders.withLock { $0.removeValue(forKey: number) }
    if case .own(let path?) = holder { _ = unsafe unlink(path) }
  }

  /// All listening sockets of the process.
  static var all: [Int32: Holder] { holders.withLock { $0 } }

  /// Notes who has the socket of a number.
  static func note(_ number: Int32, _ holder: Holder) { holders.withLock { $0[number] = holder } }

  /// For polling: readable while a client waits.
  public var rawValue: Int32 { descriptor.rawValue }

  /// Takes the next client, non-blocking, or `nil` if none waits.
  public borrowing func accept() -> OwnedFileDescriptor? {
    let own = descriptor.rawValue
    if case .monitor = Self.holders.withLock({ $0[own] }) { return ListenerHandover.accept(own) }
    let number = Glibc.accept(descriptor.rawValue, nil, nil)
    guard number >= 0 else { return nil }
    let client = OwnedFileDescriptor(adopting: number)
    _ = apus_fcntl(number, F_SETFD, Int(FD_CLOEXEC))
    try? FileIO.setNonBlocking(number)
    return client
  }

  /// Whether a socket file is there that nobody listens on.
  private static func isAbandoned(_ address: sockaddr_un, _ path: String) -> Bool {
    var status = stat()
    guard unsafe lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK else {
      return false
    }
    switch probe(address, waiting: patience) {
    case .refused: return true
    case .hungUp: return probe(address, waiting: 0) == .refused
    case .connected, .other: return false
    }
  }

  private enum Probe {
    case refused, connected, hungUp, other
  }

  // What a process that was killed has open is closed a moment later, in milliseconds.
  private static var patience: Int32 { 1000 }

  /// Connects, and waits for the other end to go.
  private static func probe(_ address: sockaddr_un, waiting timeout: Int32) -> Probe {
    let probe = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard probe >= 0 else { return .other }
    defer { _ = close(probe) }
    guard unsafe UnixSocket.withAddress(address, { unsafe connect(probe, $0, $1) }) == 0 else {
      return errno == ECONNREFUSED ? .refused : .other
    }
    var list = PollList()
    let place = list.add(probe, for: [])
    list.wait(timeout: timeout)
    return list.hasHungUp(place) ? .hungUp : .connected
  }
}
