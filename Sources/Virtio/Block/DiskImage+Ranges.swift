import CLinux
import Glibc
public import HostOS

/// Ranges that are given up or zeroed as a whole.
extension DiskImage {
  /// Gives up `count` bytes from `offset` on: what they read as from then on is anything.
  ///
  /// A file system or device that cannot do that keeps them, which is as good.
  public func discard(_ count: UInt64, at offset: UInt64) throws(SystemError) {
    let (number, isDevice) = (descriptor.rawValue, isBlockDevice)
    do throws(SystemError) {
      _ = try retrying("discard") { apus_discard(number, isDevice ? 1 : 0, offset, count) }
    } catch {
      guard error.code == EOPNOTSUPP || error.code == ENOTTY else { throw error }
    }
  }

  /// Makes `count` bytes from `offset` on read as zeroes.
  ///
  /// - Parameters:
  ///   - count: How many bytes.
  ///   - offset: The first of them.
  ///   - mayUnmap: Whether their space may be given up.
  /// - Throws: ``SystemError``; then any of them may be zeroes.
  public func writeZeroes(
    _ count: UInt64,
    at offset: UInt64,
    mayUnmap: Bool
  ) throws(SystemError) {
    let (number, isDevice) = (descriptor.rawValue, isBlockDevice)
    do throws(SystemError) {
      _ = try retrying("zeroing") {
        apus_write_zeroes(number, isDevice ? 1 : 0, offset, count, mayUnmap ? 1 : 0)
      }
    } catch {
      guard error.code == EOPNOTSUPP || error.code == ENOTTY else { throw error }
      try sendZeroes(count, at: offset)
    }
  }

  /// Writes zeroes, where the host knows no shorter way.
  private func sendZeroes(_ count: UInt64, at offset: UInt64) throws(SystemError) {
    let zeroes = [UInt8](repeating: 0, count: Int(min(count, 1 << 18)))
    let number = descriptor.rawValue
    var done: UInt64 = 0
    while done < count {
      let part = Int(min(count - done, UInt64(zeroes.count)))
      let written = try retrying("pwrite") {
        // SAFETY: the array has at least `part` bytes.
        unsafe zeroes.withUnsafeBytes {
          unsafe pwrite(number, $0.baseAddress, part, off_t(offset + done))
        }
      }
      // A file that takes nothing more is full.
      guard written > 0 else { throw SystemError(call: "pwrite", code: ENOSPC) }
      done += UInt64(written)
    }
  }
}
