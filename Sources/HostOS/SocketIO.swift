import CLinux
import Glibc

/// Bytes and descriptors over a connected unix stream socket, by its number, which the caller keeps
/// open (unix(7)).
///
/// Nothing here waits, whatever the flags of the socket are, which its other holders may change.
public enum SocketIO {
  /// What came.
  public enum Received: Equatable, Sendable {
    /// This many bytes, at least one.
    case bytes(Int)
    /// Nothing yet.
    case nothing
    /// The other end is closed.
    case end
    /// There were more descriptors than the batch has room for; none of the others was kept.
    case tooManyDescriptors
  }

  /// Receives bytes into `buffer` from `start` on, and adds the descriptors that came with them to
  /// `batch`.
  ///
  /// - Throws: ``SystemError``.
  public static func receive(
    _ number: Int32,
    into buffer: inout [UInt8],
    from start: Int,
    count: Int,
    _ batch: inout DescriptorBatch
  ) throws(SystemError) -> Received {
    precondition(start >= 0 && count > 0 && count <= buffer.count - start, "no room to receive")
    var numbers = InlineArray<32, Int32>(repeating: -1)
    var there: Int32 = 0
    var lost: Int32 = 0
    let room = Int32(batch.room)
    var size = 0
    var code: Int32 = 0
    repeat {
      // SAFETY: `count` bytes from `start` on are in the array, and `room` is at most 32.
      size = unsafe buffer.withUnsafeMutableBytes { bytes in
        var span = numbers.mutableSpan
        return unsafe span.withUnsafeMutableBufferPointer { numbers in
          unsafe apus_receive(
            number,
            bytes.baseAddress.unsafelyUnwrapped + start,
            count,
            numbers.baseAddress,
            room,
            &there,
            &lost
          )
        }
      }
      code = errno
    } while size < 0 && code == EINTR
    for index in 0..<Int(there) { batch.append(adopting: numbers[index]) }
    guard size >= 0 else {
      if code == EAGAIN { return .nothing }
      // A peer that died with bytes of ours unread.
      if code == ECONNRESET { return .end }
      throw SystemError(call: "recvmsg", code: code)
    }
    guard lost == 0 else { return .tooManyDescriptors }
    return size == 0 ? .end : .bytes(size)
  }

  /// Sends as much of `bytes` as the socket takes at once, and `descriptors` with the first of them.
  ///
  /// - Returns: How many bytes were taken; 0 if none now.
  /// - Throws: ``SystemError`` for any failure but a full socket.
  public static func send(
    _ number: Int32,
    _ bytes: ArraySlice<UInt8>,
    descriptors: [Int32] = []
  ) throws(SystemError) -> Int {
    while true {
      // SAFETY: both arrays are read within their bounds.
      let size = unsafe bytes.withUnsafeBytes { bytes in
        unsafe descriptors.withUnsafeBufferPointer {
          unsafe apus_send(
            number,
            bytes.baseAddress,
            bytes.count,
            $0.baseAddress,
            Int32($0.count)
          )
        }
      }
      if size >= 0 { return size }
      let code = errno
      if code == EAGAIN { return 0 }
      if code != EINTR { throw SystemError(call: "sendmsg", code: code) }
    }
  }
}
