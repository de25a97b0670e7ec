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
  public init() throws(SystemError) { try self.init(Int32(SOCK_STREAM.rawValue)) }

  /// Connects two new sockets that keep the bounds of what is sent, for ``PacketIO``.
  public init(ofPackets: Void) throws(SystemError) {
    try self.init(Int32(SOCK_SEQPACKET.rawValue))
  }

  // A number: the enumeration of the C library's is another module's, whose names clients would lose by it.
  private init(_ type: Int32) throws(SystemError) {
    var numbers = InlineArray<2, Int32>(repeating: -1)
    var span = numbers.mutableSpan
    _ = try retrying("socketpair") {
      // SAFETY: the call writes two descriptors into room for two.
      unsafe span.withUnsafeMutableBufferPointer {
        unsafe socketpair(
          AF_UNIX,
          type | Int32(SOCK_CLOEXEC.rawValue),
          0,
          $0.baseAddress
        )
      }
    }
    near = OwnedFileDescriptor(adopting: numbers[0])
    far = OwnedFileDescriptor(adopting: numbers[1])
  }
}
