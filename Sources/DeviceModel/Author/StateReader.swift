/// Takes a device's state from bytes that ``StateWriter`` has made, or anybody.
public struct StateReader {
  private let bytes: [UInt8]
  private var offset = 0

  /// Begins to read a state, which has to be of that version.
  public init(_ bytes: [UInt8], version known: UInt32) throws(DeviceStateError) {
    self.bytes = bytes
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
    try take(Word.bitWidth / 8).reversed().reduce(0) { $0 << 8 | Word($1) }
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
    return Array(try take(count))
  }

  /// Checks that all was read.
  public func end() throws(DeviceStateError) {
    guard offset == bytes.count else { throw .trailing(bytes.count - offset) }
  }

  private mutating func take(_ count: Int) throws(DeviceStateError) -> ArraySlice<UInt8> {
    guard count <= bytes.count - offset else { throw .truncated(at: bytes.count, count: count) }
    defer { offset += count }
    return bytes[offset..<offset + count]
  }
}
