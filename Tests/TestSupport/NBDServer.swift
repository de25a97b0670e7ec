import Glibc

/// A server of the network block device protocol at a unix socket or a port, ended with this object.
public final class NBDServer {
  /// It did not start.
  public struct Missing: Error { let reason: String }

  /// Whether there is qemu-nbd, and the library that clients use.
  public static let isThere =
    shell("command -v qemu-nbd qemu-img >/dev/null && ldconfig -p | grep -q libnbd.so.0").code == 0
  /// Whether there is nbdkit.
  public static let hasKit = isThere && shell("command -v nbdkit >/dev/null").code == 0

  /// Where its socket is.
  public let socket: String
  private let process: Int32
  private let log: String
  private var isKilled = false

  /// Starts `command`, in which `SOCKET` stands for the socket's path, and waits until it listens there, or
  /// at a port of this host.
  public init(_ command: String, in folder: TemporaryFolder, port: UInt16? = nil) throws {
    let socket = folder.path(of: "nbd.sock")
    self.socket = socket
    log = folder.path(of: "nbd.log")
    unlink(socket)
    let line = command.split(separator: " ").map { part in
      part == "SOCKET"
        ? socket : part.hasSuffix("=SOCKET") ? "\(part.dropLast(6))\(socket)" : String(part)
    }
    var arguments = line.map { strdup($0) } + [nil]
    defer { for argument in arguments { free(argument) } }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 2, log, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    var number: Int32 = 0
    let code = posix_spawnp(&number, line[0], &actions, nil, &arguments, environ)
    guard code == 0 else { throw Missing(reason: "\(line[0]): \(code)") }
    process = number
    let isListening = {
      port.map { Self.isTaken($0) } ?? ((try? UnixConnection.make(socket)) != nil)
    }
    guard waitUntil(seconds: 30, isListening) else {
      throw Missing(reason: "\(line[0]) does not listen: \(shell("cat '\(log)'").output)")
    }
  }

  /// qemu-nbd with `arguments`, the image among them.
  public static func qemu(_ arguments: String, in folder: TemporaryFolder) throws -> NBDServer {
    try NBDServer("qemu-nbd --persistent --socket=SOCKET \(arguments)", in: folder)
  }

  /// nbdkit with `arguments`, the plugin among them.
  public static func kit(_ arguments: String, in folder: TemporaryFolder) throws -> NBDServer {
    try NBDServer("nbdkit --foreground --verbose --unix SOCKET \(arguments)", in: folder)
  }

  /// nbdkit at a port of this host that was free, with `arguments`; and the port.
  public static func kitAtPort(
    _ arguments: String,
    in folder: TemporaryFolder
  ) throws -> (server: NBDServer, port: UInt16) {
    // Somebody else may take the port meanwhile.
    for _ in 0..<8 {
      let port = Self.freePort
      let command = "nbdkit --foreground --verbose --ipaddr 127.0.0.1 --port \(port) \(arguments)"
      if let server = try? NBDServer(command, in: folder, port: port), server.isRunning {
        return (server, port)
      }
    }
    throw Missing(reason: "nbdkit found no free port")
  }

  /// Whether the process is there.
  private var isRunning: Bool {
    var status: Int32 = 0
    return waitpid(process, &status, WNOHANG) == 0
  }

  /// A port of this host that nobody listens at.
  private static var freePort: UInt16 {
    var port: UInt16 = 0
    withSocket { socket in
      var address = loopback(0)
      var length = socklen_t(MemoryLayout<sockaddr_in>.size)
      withUnsafeMutablePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          _ = bind(socket, $0, length)
          _ = getsockname(socket, $0, &length)
        }
      }
      port = UInt16(bigEndian: address.sin_port)
    }
    return port
  }

  /// Whether somebody listens at a port of this host.
  private static func isTaken(_ port: UInt16) -> Bool {
    var isTaken = false
    withSocket { socket in
      var address = loopback(port)
      withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          isTaken = connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
        }
      }
    }
    return isTaken
  }

  private static func loopback(_ port: UInt16) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    return address
  }

  private static func withSocket(_ body: (Int32) -> Void) {
    let socket = Glibc.socket(
      AF_INET,
      Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue),
      0
    )
    defer { close(socket) }
    body(socket)
  }

  /// The address of its export, by the socket.
  public var address: String { "nbd:unix:\(socket)" }

  /// How often it has said so.
  public func said(_ text: String) -> Int {
    Int(shell("grep -c '\(text)' '\(log)'").output) ?? 0
  }

  /// Ends it in the middle of what it does, and waits until it is gone.
  public func kill() {
    guard !isKilled else { return }
    isKilled = true
    _ = Glibc.kill(process, SIGKILL)
    var status: Int32 = 0
    waitpid(process, &status, 0)
  }

  /// Stops it, until ``resume()``.
  public func stop() { _ = Glibc.kill(process, SIGSTOP) }
  /// Continues it.
  public func resume() { _ = Glibc.kill(process, SIGCONT) }

  deinit { kill() }
}
