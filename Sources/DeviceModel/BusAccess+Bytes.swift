extension BusAccess {
  /// Carries out a read a byte at a time, lowest first, as the ISA bus does for devices whose
  /// registers are a byte wide.
  ///
  /// - Parameter byte: The byte at an offset into the range.
  /// - Returns: All bytes.
  @inlinable
  public func readBytes(_ byte: (_ offset: UInt64) -> UInt8) -> UInt64 {
    var value: UInt64 = 0
    for index in 0..<UInt64(width) {
      value |= UInt64(byte(offset &+ index)) << (8 * index)
    }
    return value
  }

  /// Carries out a write a byte at a time, lowest first.
  ///
  /// - Parameters:
  ///   - value: All bytes.
  ///   - byte: Writes one of them at an offset into the range.
  @inlinable
  public func writeBytes(_ value: UInt64, _ byte: (_ offset: UInt64, _ value: UInt8) -> Void) {
    for index in 0..<UInt64(width) {
      byte(offset &+ index, UInt8(truncatingIfNeeded: value >> (8 * index)))
    }
  }
}
