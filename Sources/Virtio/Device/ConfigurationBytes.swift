/// The device-specific configuration of a device as bytes, little-endian (virtio 1.2, 2.5).
public struct ConfigurationBytes: Sendable {
  /// The most bytes that there is room for.
  public static var capacity: Int { 64 }

  private var bytes = InlineArray<64, UInt8>(repeating: 0)

  /// Makes a configuration of zeroes.
  public init() {}

  /// Sets the field at `offset` to `word`.
  public mutating func set<Word: FixedWidthInteger & UnsignedInteger>(_ word: Word, at offset: Int)
  {
    for index in 0..<(Word.bitWidth / 8) {
      bytes[offset + index] = UInt8(truncatingIfNeeded: word >> (8 * index))
    }
  }

  /// The `width` bytes at `offset`; those beyond the end are zero.
  public func read(offset: UInt64, width: Int) -> UInt64 {
    guard offset < UInt64(Self.capacity), (1...8).contains(width) else { return 0 }
    var word: UInt64 = 0
    for index in 0..<min(width, Self.capacity - Int(offset)) {
      word |= UInt64(bytes[Int(offset) + index]) << (8 * UInt64(index))
    }
    return word
  }
}
