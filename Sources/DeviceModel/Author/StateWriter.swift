/// Puts a device's state into bytes, numbers in little-endian order.
public struct StateWriter {
  /// The bytes so far.
  public private(set) var bytes: [UInt8] = []

  /// Begins a state whose first word is `version`.
  public init(version: UInt32) { append(version) }

  /// Makes a state of nothing but numbers.
  public init(version: UInt32, _ words: [some FixedWidthInteger & UnsignedInteger]) {
    self.init(version: version)
    for word in words { append(word) }
  }

  /// Appends a number.
  public mutating func append(_ word: some FixedWidthInteger & UnsignedInteger) {
    for shift in stride(from: 0, to: word.bitWidth, by: 8) {
      bytes.append(UInt8(truncatingIfNeeded: word >> shift))
    }
  }

  /// Appends a truth value.
  public mutating func append(_ flag: Bool) { append(flag ? 1 as UInt8 : 0) }

  /// Appends bytes, and how many.
  public mutating func append(_ bytes: [UInt8]) {
    append(UInt64(bytes.count))
    self.bytes += bytes
  }
}
