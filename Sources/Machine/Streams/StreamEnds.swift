import Glibc
import HostOS

/// What the host's end of a stream consists of; whatever there is not is `nil`.
struct StreamEnds: ~Copyable {
  var output: OwnedFileDescriptor?
  var input: OwnedFileDescriptor?
  var listener: UnixListener?
  /// A device where somebody may be at the other end, or nobody.
  var device: OwnedFileDescriptor?
  /// The guest's bytes on their way to a client of `listener`, or to `device`.
  var relayed: OwnedFileDescriptor?
  var terminal: RawTerminal?

  /// Opens the host's end.
  ///
  /// - Throws: ``MachineError/stream(path:reason:)`` if it cannot be opened.
  init(_ stream: MachineConfiguration.Stream) throws {
    switch stream {
    case .none: break
    case .standard:
      output = try OwnedFileDescriptor(duplicating: STDOUT_FILENO)
      // Input that was closed is no reason not to run.
      input = try? OwnedFileDescriptor(duplicating: STDIN_FILENO)
      terminal = RawTerminal.isTerminal(STDIN_FILENO) ? try RawTerminal(STDIN_FILENO) : nil
    case .file(let path): output = try Self.open(path, O_WRONLY | O_CREAT | O_TRUNC)
    case .pipe(let path):
      input = try Self.openPipe(path + ".in")
      output = try Self.openPipe(path + ".out")
    case .device(let path):
      // Opened once: a virtio port can have one user.
      device = try Self.open(path, O_RDWR | O_NONBLOCK)
      try connect()
    case .unix(let path):
      do throws(SystemError) {
        listener = try UnixListener(path: path)
      } catch {
        throw MachineError.stream(path: "unix:\(path)", reason: error.reason)
      }
      try connect()
    }
  }

  /// Makes the way for bytes that this process carries on to whoever is there.
  private mutating func connect() throws(SystemError) {
    let pair = try SocketPair()
    output = try pair.far.duplicated()
    relayed = try pair.near.duplicated()
  }

  private static func open(_ path: String, _ flags: Int32) throws -> OwnedFileDescriptor {
    do throws(SystemError) {
      return try OwnedFileDescriptor(opening: path, flags | O_NOCTTY, mode: 0o644)
    } catch {
      throw MachineError.stream(path: path, reason: error.reason)
    }
  }

  /// Opens a named pipe both ways: nobody has to be at its other end, now or later (fifo(7)).
  private static func openPipe(_ path: String) throws -> OwnedFileDescriptor {
    let pipe = try open(path, O_RDWR | O_NONBLOCK)
    var status = stat()
    // SAFETY: the status is a live local.
    guard unsafe fstat(pipe.rawValue, &status) == 0, status.st_mode & S_IFMT == S_IFIFO else {
      throw MachineError.stream(path: path, reason: "it is no pipe; make one with mkfifo")
    }
    return pipe
  }
}
