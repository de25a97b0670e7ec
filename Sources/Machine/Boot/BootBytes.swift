/// Little-endian fields in bytes that came from a file; reading can never trap.
struct HeaderView {
  let bytes: [UInt8]

  /// The word at `offset`; bytes after the end read as 0, so lengths are checked first by the caller.
  func load<Word: FixedWidthInteger & UnsignedInteger>(
    _ offset: Int,
    as type: Word.Type = Word.self
  ) -> Word {
    var word: Word = 0
    for index in 0..<Word.bitWidth / 8 where bytes.indices.contains(offset &+ index) {
      word |= Word(bytes[offset &+ index]) << Word(8 * index)
    }
    return word
  }
}

/// A structure for the guest, built up from little-endian fields.
struct BootRecord {
  private(set) var bytes: [UInt8]

  /// Starts with `count` zero bytes.
  init(count: Int = 0) { bytes = [UInt8](repeating: 0, count: count) }

  /// Puts `value` at `offset`, which must be inside.
  mutating func store<Word: FixedWidthInteger & UnsignedInteger>(_ value: Word, at offset: Int) {
    for index in 0..<Word.bitWidth / 8 {
      bytes[offset + index] = UInt8(truncatingIfNeeded: value >> Word(8 * index))
    }
  }

  /// Copies `source` to `offset`; all of it must be inside.
  mutating func store(_ source: some Collection<UInt8>, at offset: Int) {
    bytes.replaceSubrange(offset..<offset + source.count, with: source)
  }

  /// Puts `value` after the last byte.
  mutating func append<Word: FixedWidthInteger & UnsignedInteger>(_ value: Word) {
    for index in 0..<Word.bitWidth / 8 {
      bytes.append(UInt8(truncatingIfNeeded: value >> Word(8 * index)))
    }
  }

  /// Puts the text and a NUL after the last byte.
  mutating func append(terminated text: String) {
    bytes.append(contentsOf: text.utf8)
    bytes.append(0)
  }
}
