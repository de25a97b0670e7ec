/// What a device's process does with the host, which decides how far it can be shut in.
public enum SandboxKind: String, CaseIterable, Sendable {
  /// Works on memory, and on what is open already: a source of random bytes, a console, sockets.
  case memory
  /// Works on memory, and gives pages of it back to the host.
  case balloon
  /// Sends and receives frames through an interface of the host, or a socket.
  case network
  /// Reads and writes a file or block device.
  case file
  /// Is the client of servers, which it connects to anew when they were lost.
  case client
}
