/// The order of bytes in the records of the interface.
///
/// The records have the byte order of the host that writes them: an s390 host's streams are
/// big-endian, whichever host reads them.
public enum FLICByteOrder: Sendable {
  /// The most significant byte comes first, as on s390.
  case big
  /// The least significant byte comes first, as on x86.
  case little
}

extension Span<UInt8> {
  /// The number at `offset`, all bytes of which are in the span.
  func load<Value: FixedWidthInteger>(
    _ type: Value.Type,
    at offset: Int,
    _ order: FLICByteOrder
  ) -> Value {
    var value: Value = 0
    for index in 0..<Value.bitWidth / 8 {
      value = value << 8 | Value(truncatingIfNeeded: self[offset + index])
    }
    return order == .big ? value : value.byteSwapped
  }
}

extension MutableSpan<UInt8> {
  /// Stores the number at `offset`, all bytes of which are in the span.
  mutating func store<Value: FixedWidthInteger>(
    _ value: Value,
    at offset: Int,
    _ order: FLICByteOrder
  ) {
    var rest = order == .big ? value.byteSwapped : value
    for index in 0..<Value.bitWidth / 8 {
      self[offset + index] = UInt8(truncatingIfNeeded: rest)
      rest >>= 8
    }
  }
}
