import CLinux
import Glibc
import GuestMemory
import HostOS
import Synchronization

/// Direct I/O (`O_DIRECT`) of what is not aligned as the host needs it: by way of a buffer that is.
///
/// Rare: drivers align data to the logical block that the configuration tells them.
extension DiskImage {
  /// Whether the kernel takes what the request has to do next as it is.
  func takes(_ request: borrowing DiskRequest) -> Bool {
    guard isDirect else { return true }
    switch request.action {
    case .read, .write:
      return !splitsBlocks(request)
        && request.vector.isAligned(to: Int(memoryAlignment), blocks: Int(offsetAlignment))
    case .fill: return !splitsBlocks(request) && memoryAlignment <= 4096
    case .synchronize, .discard, .zero: return true
    }
  }

  /// Whether the request begins or ends inside a block, of which the rest must stay as it is.
  func splitsBlocks(_ request: borrowing DiskRequest) -> Bool {
    (request.offset | request.leftCount) & (offsetAlignment - 1) != 0
  }

  /// Reads the blocks in which the request's next bytes are.
  ///
  /// - Returns: How many of its bytes were read, or a negative errno.
  func read(_ request: borrowing DiskRequest, through buffer: BounceBuffer) -> Int {
    let piece = DiskPiece(of: request, block: offsetAlignment)
    let bytes = unsafe buffer.bytes(0, piece.blockCount)
    let result = unsafe load(bytes, at: piece.start)
    guard result >= 0 else { return result }
    let count = min(result - piece.before, piece.count)
    guard count > 0 else { return 0 }
    buffer.store(count, from: piece.before, into: request)
    return count
  }

  /// Writes the request's next bytes, of its data or zeroes, with what else is in their blocks.
  ///
  /// - Returns: How many of its bytes were written, or a negative errno.
  func write(
    _ request: borrowing DiskRequest,
    through buffer: BounceBuffer,
    _ flags: TransferFlags
  ) -> Int {
    let piece = DiskPiece(of: request, block: offsetAlignment)
    guard piece.isWhole else {
      // Two such writes to one block must not both read it before either is written. A write of the
      // whole block at the same time, from another queue, overlaps with this one, and which of the two
      // counts is the driver's affair.
      return splitBlocks.withLock { _ in
        let bytes = unsafe buffer.bytes(0, piece.blockCount)
        let result = unsafe load(bytes, at: piece.start)
        guard result == piece.blockCount else { return min(result, 0) }
        return store(piece, request, buffer, flags)
      }
    }
    return store(piece, request, buffer, flags)
  }

  private func store(
    _ piece: DiskPiece,
    _ request: borrowing DiskRequest,
    _ buffer: BounceBuffer,
    _ flags: TransferFlags
  ) -> Int {
    buffer.load(piece, of: request)
    let bytes = unsafe buffer.bytes(0, piece.blockCount)
    let number = descriptor.rawValue
    var segment = unsafe iovec(iov_base: bytes.baseAddress, iov_len: bytes.count)
    let result = DiskCalls.call {
      // SAFETY: the segment is in the buffer, which is only read.
      unsafe apus_pwritev2(number, &segment, 1, off_t(piece.start), flags.rawValue)
    }
    return result < 0 ? result : max(min(result - piece.before, piece.count), 0)
  }

  private func load(_ bytes: UnsafeMutableRawBufferPointer, at offset: UInt64) -> Int {
    let number = descriptor.rawValue
    // SAFETY: the bytes are in the buffer.
    return DiskCalls.call {
      unsafe pread(number, bytes.baseAddress, bytes.count, off_t(offset))
    }
  }
}
