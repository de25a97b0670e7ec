public import HostOS

/// The host's side of a socket device: one unix socket for those who connect to the guest, and one for
/// each port that the guest may connect to.
///
/// The guest's connections to port P of the host go to the unix socket `PATH_P`, on which a program
/// listens. Who connects to `PATH` says `CONNECT P` and a newline, reads `OK` and a number, and is then
/// connected to port P of the guest; where nobody listens there, the socket is closed. It outlives the
/// device, so that a guest which is started anew can be reached at the same path.
public final class VsockSockets: Sendable {
  /// The path of the socket for those who connect to the guest.
  public let path: String

  let listener: UnixListener?

  /// The most bytes of a path, with room for an underscore and a port (unix(7)).
  public static var pathLimit: Int { 107 - 11 }

  /// How many may wait to be accepted.
  private static var backlog: Int32 { 128 }

  /// Listens at `path`; a socket that a dead process left there is replaced.
  ///
  /// - Throws: `SystemError` if the path cannot be had.
  public init(path: String) throws(SystemError) {
    self.path = path
    listener = try UnixListener(path: path, backlog: Self.backlog)
  }

  /// Sockets of a machine that is only described: nobody connects.
  public init() {
    path = ""
    listener = nil
  }

  /// The socket that stands for a port of the host.
  func path(of port: UInt32) -> String { "\(path)_\(port)" }
}
