import Glibc
public import HostOS
import Virtio

/// Where a server finds its peers: the front ends of vhost-user, or the clients of vfio-user.
public enum PeerEndpoint: ~Copyable, Sendable {
  /// Peers connect to this, one at a time.
  case listener(UnixListener)
  /// This one is connected, and there will be no other.
  case connection(OwnedFileDescriptor)

  /// Listens at `path`.
  ///
  /// - Throws: As ``UnixListener/init(path:)``.
  public init(path: String) throws(SystemError) {
    self = .listener(try UnixListener(path: path))
  }

  /// Takes over a socket that the process was started with, which listens or is connected.
  ///
  /// - Throws: `SystemError`, `ENOTSOCK` for anything but a unix stream socket.
  public init(adopting descriptor: consuming OwnedFileDescriptor) throws(SystemError) {
    switch try DescriptorKind(of: descriptor.rawValue) {
    case .listeningSocket: self = .listener(try UnixListener(adopting: descriptor))
    case .streamSocket: self = .connection(descriptor)
    default:
      throw SystemError(
        call: "serving",
        code: ENOTSOCK,
        subject: "descriptor \(descriptor.rawValue)"
      )
    }
  }

  /// Hands `serve` each peer's socket, until there will be none any more, or `stop` is readable.
  ///
  /// - Parameters:
  ///   - stop: What says that it is enough.
  ///   - log: Where it goes why a peer of several was not served.
  ///   - serve: Serves a peer, and says whether there may be another.
  /// - Throws: What `serve` throws for the only peer, or `SystemError` if the host has no descriptor left to begin with,
  ///   or waiting fails.
  consuming func forEach(
    until stop: Int32,
    _ log: LimitedLog,
    _ serve: (consuming OwnedFileDescriptor) throws -> Bool
  ) throws {
    switch consume self {
    case .connection(let socket): _ = try serve(socket)
    case .listener(let listener):
      let poller = try Poller()
      try poller.add(stop, token: 0)
      try poller.add(listener.rawValue, token: 1)
      while true {
        var isStopping = false
        try poller.wait { isStopping = isStopping || $0.token == 0 }
        if isStopping { return }
        guard let socket = listener.accept() else { continue }
        do {
          guard try serve(socket) else { return }
        } catch {
          // Such as too many open files: the next may have more luck.
          log.error("\(error)")
        }
      }
    }
  }
}
