import Glibc
import HostOS

/// Which of the memory the host has given pages to.
extension GuestMemory {
  /// SEEK_DATA and SEEK_HOLE of linux/fs.h, which Glibc's headers have for GNU sources alone.
  private enum Seek {
    static var data: Int32 { 3 }
    static var hole: Int32 { 4 }
  }

  /// Calls `body` with each range that may hold anything but zeroes, by ascending address.
  ///
  /// Pages that nobody has written take no memory, and looking at them through the mapping would give them some: they
  /// are left out.
  ///
  /// - Parameters:
  ///   - limit: No range is longer, in bytes; a multiple of the page size.
  ///   - body: Gets the range's address and length, both multiples of the page size.
  /// - Throws: What `body` throws.
  public func forEachPopulatedRange(
    limit: UInt64,
    _ body: (GuestAddress, UInt64) throws -> Void
  ) throws {
    precondition(limit > 0 && limit % Self.pageSize == 0, "ranges of \(limit) bytes")
    for region in regions {
      var offset: UInt64 = 0
      while offset < region.count {
        let data = populated(from: region.fileOffset + offset, to: region.fileOffset + region.count)
        guard let data else { break }
        offset = data.lowerBound - region.fileOffset
        let end = data.upperBound - region.fileOffset
        while offset < end {
          let count = min(limit, end - offset)
          try body(region.start &+ offset, count)
          offset += count
        }
      }
    }
  }

  /// The first run of pages that the file has in `start..<end`; `nil` if there is none.
  ///
  /// A file that does not say is taken as full.
  private func populated(from start: UInt64, to end: UInt64) -> Range<UInt64>? {
    guard let number = file.borrow({ $0.rawValue }) else { return start..<end }
    let data = lseek(number, off_t(start), Seek.data)
    // ENXIO: there is nothing from there on (lseek(2)).
    guard data >= 0 else { return errno == ENXIO ? nil : start..<end }
    let mask = Self.pageSize - 1
    let first = max(start, UInt64(data) & ~mask)
    guard first < end else { return nil }
    let hole = lseek(number, off_t(first), Seek.hole)
    let last = hole < 0 ? end : min(end, (UInt64(hole) + mask) & ~mask)
    return first..<max(last, first + Self.pageSize)
  }
}
