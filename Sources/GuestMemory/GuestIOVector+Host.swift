import CLinux
import Glibc

/// What the ranges are in the host.
extension GuestIOVector {
  /// Whether each range begins at a multiple of `alignment` in the host, and is as long as one of
  /// `blocks`; both are powers of 2.
  public borrowing func isAligned(to alignment: Int, blocks: Int) -> Bool {
    for index in unsafe segments.indices {
      let segment = unsafe segments[index]
      let address = unsafe Int(bitPattern: segment.iov_base)
      let length = unsafe segment.iov_len
      guard address & (alignment - 1) == 0, length & (blocks - 1) == 0 else { return false }
    }
    return true
  }

  /// Fills the ranges with zeroes; they are not used up.
  public borrowing func fillWithZeroes() {
    for index in unsafe segments.indices {
      let segment = unsafe segments[index]
      // SAFETY: the segment lies in the mapping that `memory` keeps alive.
      unsafe segment.iov_base?.initializeMemory(
        as: UInt8.self,
        repeating: 0,
        count: segment.iov_len
      )
    }
  }
}
