import CLinux
import Glibc

/// Packets over a connected unix socket that keeps their bounds and order (`SOCK_SEQPACKET`, unix(7)), by its number,
/// which the caller keeps open.
///
/// Nothing here waits, whatever the flags of the socket are. Descriptors that come with a packet are closed by the kernel.
public enum PacketIO {
  /// What came.
  public enum Received: Equatable, Sendable {
    /// A packet of so many bytes, at least one; what of it had no room is lost, or still there if it was only looked at.
    case packet(Int)
    /// Nothing yet.
    case nothing
    /// Nothing will come any more, or an empty packet came, which nobody sends.
    case end
  }

  /// Receives one packet to the front of `buffer`.
  ///
  /// - Parameters:
  ///   - number: The socket.
  ///   - buffer: Room for a packet.
  ///   - isLeft: Whether the packet is only looked at, and the next call finds it again.
  /// - Returns: What came.
  /// - Throws: ``SystemError``.
  public static func receive(
    _ number: Int32,
    into buffer: inout [UInt8],
    leaving isLeft: Bool = false
  ) throws(SystemError) -> Received {
    let flags = Int32(MSG_DONTWAIT) | (isLeft ? Int32(MSG_PEEK) : 0)
    while true {
      // SAFETY: the call is told how much room the array has.
      let size = unsafe buffer.withUnsafeMutableBytes {
        unsafe recv(number, $0.baseAddress, $0.count, flags)
      }
      if size >= 0 { return size == 0 ? .end : .packet(size) }
      let code = errno
      if code == EAGAIN { return .nothing }
      if code == ECONNRESET { return .end }
      if code != EINTR { throw SystemError(call: "recv", code: code) }
    }
  }

  /// Sends a packet.
  ///
  /// - Returns: Whether there was room for it.
  /// - Throws: ``SystemError`` for any failure but a full socket.
  public static func send(_ number: Int32, _ bytes: [UInt8]) throws(SystemError) -> Bool {
    try SocketIO.send(number, bytes[...]) > 0
  }
}
