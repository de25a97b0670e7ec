/// Writes values to bytes, or reads them from bytes, by one and the same description of the layout.
///
/// All numbers are little-endian. What is read is checked before it is kept; after an error nothing
/// that was read means anything.
struct StateCoder {
  private(set) var bytes: [UInt8] = []
  private var rest: ArraySlice<UInt8>?

  /// Writes.
  init() {}

  /// Reads.
  init(reading bytes: ArraySlice<UInt8>) { rest = bytes }

  /// Whether values are read.
  var isReading: Bool { rest != nil }
  /// How many bytes are still to be read.
  var remaining: Int { rest?.count ?? 0 }

  /// Codes a number.
  mutating func number<Value: FixedWidthInteger>(
    _ value: inout Value
  ) throws(InterruptStateError) {
    let size = Value.bitWidth / 8
    guard let bytes = rest else {
      for index in 0..<size {
        self.bytes.append(UInt8(truncatingIfNeeded: value >> Value(index * 8)))
      }
      return
    }
    guard bytes.count >= size else {
      throw .invalid(field: "end after missing bytes", value: UInt64(size - bytes.count))
    }
    var read: Value = 0
    for (index, byte) in bytes.prefix(size).enumerated() {
      read |= Value(truncatingIfNeeded: UInt64(byte) << UInt64(index * 8))
    }
    value = read
    rest = bytes.dropFirst(size)
  }

  /// Codes a number of at most `limit`, named for an error.
  mutating func count(
    _ value: inout Int,
    _ field: String,
    limit: Int
  ) throws(InterruptStateError) {
    var number = UInt32(clamping: value)
    try self.number(&number)
    guard number <= limit else { throw .invalid(field: field, value: UInt64(number)) }
    value = Int(number)
  }

  /// Codes a flag, a byte of 0 or 1.
  mutating func flag(_ value: inout Bool, _ field: String) throws(InterruptStateError) {
    var byte: UInt8 = value ? 1 : 0
    try number(&byte)
    guard byte <= 1 else { throw .invalid(field: field, value: UInt64(byte)) }
    value = byte == 1
  }

  /// Codes a case by its number.
  mutating func choice<Value: RawRepresentable>(
    _ value: inout Value,
    _ field: String
  ) throws(InterruptStateError) where Value.RawValue == UInt8 {
    var byte = value.rawValue
    try number(&byte)
    guard let known = Value(rawValue: byte) else {
      throw .invalid(field: field, value: UInt64(byte))
    }
    value = known
  }

  /// Codes a number that may be missing: a flag, and the number or 0.
  mutating func optional<Value: FixedWidthInteger>(
    _ value: inout Value?,
    _ field: String
  ) throws(InterruptStateError) {
    var isThere = value != nil
    try flag(&isThere, field)
    var number = value ?? 0
    try self.number(&number)
    // One way only to write a state.
    guard isThere || number == 0 else {
      throw .invalid(field: field, value: UInt64(truncatingIfNeeded: number))
    }
    value = isThere ? number : nil
  }

  /// Codes bytes, after how many there are.
  mutating func bytes(
    _ value: inout [UInt8],
    _ field: String,
    limit: Int
  ) throws(InterruptStateError) {
    var size = value.count
    try count(&size, field, limit: limit)
    guard let rest else {
      bytes += value
      return
    }
    guard rest.count >= size else {
      throw .invalid(field: "end after missing bytes", value: UInt64(size - rest.count))
    }
    value = Array(rest.prefix(size))
    self.rest = rest.dropFirst(size)
  }

  /// Codes a text of at most `limit` bytes in UTF-8.
  mutating func text(
    _ value: inout String,
    _ field: String,
    limit: Int
  ) throws(InterruptStateError) {
    var all = Array(value.utf8.prefix(limit))
    try bytes(&all, field, limit: limit)
    guard isReading else { return }
    // It is shown to users.
    for byte in all where byte < 0x20 || byte == 0x7F {
      throw .invalid(field: "\(field) with byte", value: UInt64(byte))
    }
    value = String(decoding: all, as: UTF8.self)
  }

  /// Codes exactly `count` numbers.
  mutating func numbers<Value: FixedWidthInteger>(
    _ values: inout [Value],
    count: Int
  ) throws(InterruptStateError) {
    var all: [Value] = []
    for index in 0..<count {
      var value = index < values.count ? values[index] : 0
      try number(&value)
      all.append(value)
    }
    values = all
  }
}
