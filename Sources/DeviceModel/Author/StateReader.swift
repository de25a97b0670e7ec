/// Takes a device's state from bytes that ``StateWriter`` has made, or anybody.
public struct StateReader {
  private var fields: FieldReader
  private let count: Int

  /// Begins to read a state, which has to be of that version.
  public init(_ bytes: [UInt8], version known: UInt32) throws(DeviceStateError) {
    fields = FieldReader(bytes)
    count = bytes.count
    let version = try next(UInt32.self)
    guard version == known else { throw .version(UInt64(version), known: UInt64(known)) }
  }

  /// Reads a state of nothing but numbers, of which there have to be `count`.
  public static func words<Word: FixedWidthInteger & UnsignedInteger>(
    _ count: Int,
    in bytes: [UInt8],
    version: UInt32
  ) throws(DeviceStateError) -> [Word] {
    var reader = try Self(bytes, version: version)
    var words: [Word] = []
    for _ in 0..<count { words.append(try reader.next()) }
    try reader.end()
    return words
  }

  /// The next number.
  public mutating func next<Word: FixedWidthInteger & UnsignedInteger>(
    _ type: Word.Type = Word.self
  ) throws(DeviceStateError) -> Word {
    guard let word = fields.take(type) else {
      throw .truncated(at: count, count: Word.bitWidth / 8)
    }
    return word
  }

  /// The next truth value.
  public mutating func nextFlag() throws(DeviceStateError) -> Bool {
    let byte = try next(UInt8.self)
    guard byte < 2 else { throw .badValue("\(byte) where 0 or 1 should be") }
    return byte == 1
  }

  /// The next bytes, of which there have to be `count`.
  public mutating func nextBytes(count: Int) throws(DeviceStateError) -> [UInt8] {
    let written = try next(UInt64.self)
    guard written == UInt64(count) else {
      throw .badValue("\(written) bytes where \(count) should be")
    }
    guard let part = fields.take(count: count) else {
      throw .truncated(at: self.count, count: count)
    }
    return part
  }

  /// Checks that all was read.
  public func end() throws(DeviceStateError) {
    guard fields.count == 0 else { throw .trailing(fields.count) }
  }
}
