/// Words in the machine's own byte order, in which processes of one machine talk.
struct NativeBytes {
  private(set) var array: [UInt8]

  /// Reads, or adds to, `array`.
  init(_ array: [UInt8] = []) { self.array = array }

  /// The word at `offset`; it must be there.
  func word<Word: FixedWidthInteger>(at offset: Int) -> Word {
    var word: Word = 0
    for index in 0..<(Word.bitWidth / 8) {
      word |= Word(truncatingIfNeeded: array[offset + index]) << (8 * index)
    }
    return word.asNative
  }

  /// Adds a word.
  mutating func append<Word: FixedWidthInteger>(_ word: Word) {
    let ordered = word.asNative
    for index in 0..<(Word.bitWidth / 8) {
      array.append(UInt8(truncatingIfNeeded: ordered >> (8 * index)))
    }
  }

  /// Adds bytes.
  mutating func append(_ bytes: some Sequence<UInt8>) { array += bytes }
}

extension FixedWidthInteger {
  /// The value whose bytes from the lowest up are those of this one in memory.
  fileprivate var asNative: Self {
    #if _endian(big)
    byteSwapped
    #else
    self
    #endif
  }
}
