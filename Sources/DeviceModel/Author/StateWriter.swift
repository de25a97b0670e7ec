/// Puts a device's state into bytes, numbers in little-endian order.
public struct StateWriter {
  private var fields = FieldWriter()

  /// The bytes so far.
  public var bytes: [UInt8] { fields.bytes }

  /// Begins a state whose first word is `version`.
  public init(version: UInt32) { append(version) }

  /// Makes a state of nothing but numbers.
  public init(version: UInt32, _ words: [some FixedWidthInteger & UnsignedInteger]) {
    self.init(version: version)
    for word in words { append(word) }
  }

  /// Appends a number.
  public mutating func append(_ word: some FixedWidthInteger & UnsignedInteger) {
    fields.append(word)
  }

  /// Appends a truth value.
  public mutating func append(_ flag: Bool) { fields.append(flag) }

  /// Appends bytes, and how many.
  public mutating func append(_ bytes: [UInt8]) {
    append(UInt64(bytes.count))
    fields.append(bytes)
  }
}
