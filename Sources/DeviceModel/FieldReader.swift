/// Takes the fields of a saved state one after the other, whoever wrote it: nothing is read beyond its end,
/// and no number in it decides how much is kept.
package struct FieldReader {
  private let bytes: [UInt8]
  private var position = 0

  /// Reads from the front of `bytes`.
  package init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// How many bytes are left.
  package var count: Int { bytes.count - position }

  /// The next number; `nil` if the state ends before.
  package mutating func take<Word: FixedWidthInteger & UnsignedInteger>(
    _ type: Word.Type = Word.self
  ) -> Word? {
    let size = Word.bitWidth / 8
    guard count >= size else { return nil }
    var word: Word = 0
    for index in 0..<size {
      word |= Word(truncatingIfNeeded: bytes[position + index]) << Word(8 * index)
    }
    position += size
    return word
  }

  /// The next flag; `nil` if the state ends before, or has neither 0 nor 1 there.
  package mutating func takeFlag() -> Bool? {
    guard let byte = take(UInt8.self), byte < 2 else { return nil }
    return byte == 1
  }

  /// The next `count` bytes; `nil` if the state ends before.
  package mutating func take(count wanted: Int) -> [UInt8]? {
    guard wanted >= 0, wanted <= count else { return nil }
    defer { position += wanted }
    return Array(bytes[position..<position + wanted])
  }

  /// As many bytes as the number before them says; `nil` if the state ends before.
  package mutating func takeCounted() -> [UInt8]? {
    take(UInt32.self).flatMap { take(count: Int($0)) }
  }
}
