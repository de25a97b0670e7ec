import CLinux
import Glibc

/// Two connected stream sockets, close-on-exec (socketpair(2)).
@frozen
public struct SocketPair: ~Copyable {
  /// One end.
  public var near: OwnedFileDescriptor
  /// The other end.
  public var far: OwnedFileDescriptor

  /// Connects two new sockets.
  public init() throws(SystemError) {
    var numbers = InlineArray<2, Int32>(repeating: -1)
    var span = numbers.mutableSpan
    _ = try retrying("socketpair") {
      // SAFETY: the call writes two descriptors into room for two.
      unsafe span.withUnsafeMutableBufferPointer {
        unsafe socketpair(
          AF_UNIX,
          Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue),
          0,
          $0.baseAddress
        )
      }
    }
    near = OwnedFileDescriptor(adopting: numbers[0])
    far = OwnedFileDescriptor(adopting: numbers[1])
  }
}
