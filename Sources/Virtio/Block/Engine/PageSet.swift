import Glibc

/// A set of a file's pages, a bit for each; what was never in it takes no memory.
@safe
struct PageSet: ~Copyable {
  /// How many pages there are.
  let count: UInt64

  private let words: UnsafeMutablePointer<UInt64>?

  /// None of so many pages; none ever, if the host has no memory.
  init(count: UInt64) {
    // SAFETY: zeroes are numbers; the host makes pages of a large array when they are first written.
    let bytes = unsafe calloc(Int(clamping: count / 64 + 1), MemoryLayout<UInt64>.size)
    unsafe words = bytes?.assumingMemoryBound(to: UInt64.self)
    self.count = unsafe words == nil ? 0 : count
  }

  deinit { unsafe free(words) }

  /// Whether all pages from `first` to `last` are there.
  func contains(_ first: UInt64, through last: UInt64) -> Bool {
    guard last < count, let words = unsafe words else { return false }
    for page in first...last
    // SAFETY: the word is one of those that were made.
    where unsafe words[Int(page >> 6)] & 1 << (page & 63) == 0 { return false }
    return true
  }

  /// Adds pages, as far as they can be.
  ///
  /// - Returns: How many were not there.
  mutating func insert(_ first: UInt64, through last: UInt64) -> Int {
    guard last < count, let words = unsafe words else { return 0 }
    var added = 0
    for page in first...last {
      let bit = UInt64(1) << (page & 63)
      // SAFETY: as above.
      if unsafe words[Int(page >> 6)] & bit == 0 { added += 1 }
      unsafe words[Int(page >> 6)] |= bit
    }
    return added
  }
}
