import CLinux
import Glibc

/// Two connected sockets, close-on-exec (socketpair(2)).
@frozen
public struct SocketPair: ~Copyable {
  /// One end.
  public var near: OwnedFileDescriptor
  /// The other end.
  public var far: OwnedFileDescriptor

  /// Connects two new stream sockets.
  public init() throws(SystemError) { try self.init(SOCK_STREAM) }

  /// Connects two new sockets that keep the bounds of what is sent, for ``PacketIO``.
  public init(ofPackets: Void) throws(SystemError) { try self.init(SOCK_SEQPACKET) }

  private init(_ type: __socket_type) throws(SystemError) {
    var numbers = InlineArray<2, Int32>(repeating: -1)
    var span = numbers.mutableSpan
    _ = try retrying("socketpair") {
      // SAFETY: the call writes two descriptors into room for two.
      unsafe span.withUnsafeMutableBufferPointer {
        unsafe socketpair(
          AF_UNIX,
          Int32(type.rawValue | SOCK_CLOEXEC.rawValue),
          0,
          $0.baseAddress
        )
      }
    }
    near = OwnedFileDescriptor(adopting: numbers[0])
    far = OwnedFileDescriptor(adopting: numbers[1])
  }
}
