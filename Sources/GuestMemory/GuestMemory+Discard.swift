import Glibc
import HostOS

/// Giving memory back to the host.
extension GuestMemory {
  /// Gives the whole pages of a range back to the host: they take no memory until they are used again,
  /// and are zeroes then.
  ///
  /// - Parameters:
  ///   - address: Where the range begins.
  ///   - count: Its length in bytes; what of its ends is no whole page stays as it is.
  /// - Returns: The bytes that were given back.
  /// - Throws: ``GuestMemoryError`` if any byte is not RAM, and nothing is given back; `SystemError` if
  ///   the host cannot take it, as with huge pages.
  public func discard(_ address: GuestAddress, count: UInt64) throws -> UInt64 {
    guard contains(address, count: count) else {
      throw GuestMemoryError(address: address, count: count)
    }
    let mask = Self.pageSize - 1
    let start = (address.rawValue &+ mask) & ~mask
    let end = (address.rawValue &+ count) & ~mask
    guard start >= address.rawValue, end > start else { return 0 }
    var done: UInt64 = 0
    while done < end - start {
      let run = unsafe try run(at: GuestAddress(start &+ done), atMost: end - start - done)
      _ = try retrying("madvise(MADV_REMOVE)", "of \(run.count) bytes") {
        // SAFETY: the range is in the mapping; others may use it meanwhile, as any of the guest's RAM.
        unsafe madvise(run.baseAddress, run.count, MADV_REMOVE)
      }
      done += UInt64(run.count)
    }
    noteWrite(GuestAddress(start), count: done)
    return done
  }
}
