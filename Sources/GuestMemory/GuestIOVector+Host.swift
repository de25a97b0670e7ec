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

  /// The ranges, if they are one run of bytes in the host; valid while the memory is, and not touched
  /// but by the device that it is handed to.
  @unsafe
  public borrowing func singleRun() -> UnsafeMutableRawBufferPointer? {
    guard let segment = unsafe segments.first, unsafe segments.count == 1 else { return nil }
    return unsafe UnsafeMutableRawBufferPointer(start: segment.iov_base, count: segment.iov_len)
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
