/// A C structure that ends in an array: a header whose first 32 bits count the entries, then those.
///
/// `Entry` is a plain C structure, aligned to 8 bytes or less.
struct FlexibleArray<Entry> {
  /// The whole structure, in words that align it.
  var words: [UInt64]
  private let headerSize: Int

  /// Makes a structure with room for `capacity` zeroed entries, and that count.
  ///
  /// - Parameters:
  ///   - capacity: How many entries fit.
  ///   - headerSize: The bytes before the first entry.
  init(capacity: Int, headerSize: Int = 8) {
    let size = headerSize + capacity * MemoryLayout<Entry>.stride
    words = [UInt64](repeating: 0, count: (size + 7) / 8)
    self.headerSize = headerSize
    count = capacity
  }

  /// Makes a structure of `entries`.
  init(_ entries: [Entry]) {
    self.init(capacity: entries.count)
    unsafe words.withUnsafeMutableBytes { bytes in
      for (index, entry) in entries.enumerated() {
        let offset = headerSize + index * MemoryLayout<Entry>.stride
        // SAFETY: `init(capacity:)` made room for all entries.
        unsafe bytes.storeBytes(of: entry, toByteOffset: offset, as: Entry.self)
      }
    }
  }

  /// The header's count of entries.
  var count: Int {
    get {
      // SAFETY: the header's first four bytes, aligned to eight.
      unsafe words.withUnsafeBytes { Int(unsafe $0.load(as: UInt32.self)) }
    }
    set {
      // SAFETY: As for reading.
      unsafe words.withUnsafeMutableBytes {
        unsafe $0.storeBytes(of: UInt32(newValue), as: UInt32.self)
      }
    }
  }

  /// The first `limit` entries.
  func entries(_ limit: Int) -> [Entry] {
    unsafe words.withUnsafeBytes { bytes in
      (0..<limit).map { index in
        let offset = headerSize + index * MemoryLayout<Entry>.stride
        // SAFETY: `limit` is at most the capacity, and any bytes are an entry.
        return unsafe bytes.load(fromByteOffset: offset, as: Entry.self)
      }
    }
  }

  /// The entries that the header counts.
  var entries: [Entry] { entries(count) }
}
