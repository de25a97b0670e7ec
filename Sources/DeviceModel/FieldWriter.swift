/// Puts the fields of a saved state one after the other: whole numbers, little-endian.
package struct FieldWriter {
  /// What has been written.
  package private(set) var bytes: [UInt8] = []

  /// Has written nothing yet.
  package init() {}

  /// Adds a number.
  package mutating func append<Word: FixedWidthInteger & UnsignedInteger>(_ word: Word) {
    for shift in 0..<(Word.bitWidth / 8) {
      bytes.append(UInt8(truncatingIfNeeded: word >> Word(8 * shift)))
    }
  }

  /// Adds 1 or 0.
  package mutating func append(_ flag: Bool) { append(flag ? 1 : 0 as UInt8) }

  /// Adds bytes as they are, without their number.
  package mutating func append(_ part: [UInt8]) { bytes += part }

  /// Adds the number of bytes, which must fit 32 bits, and the bytes.
  package mutating func appendCounted(_ part: [UInt8]) {
    append(UInt32(part.count))
    bytes += part
  }
}
