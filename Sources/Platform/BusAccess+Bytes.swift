import DeviceModel

extension BusAccess {
  /// Carries out a read a byte at a time, lowest first, as the ISA bus does for devices whose
  /// registers are a byte wide.
  func readBytes(_ byte: (_ offset: UInt64) -> UInt8) -> UInt64 {
    var value: UInt64 = 0
    for index in 0..<UInt64(width) {
      value |= UInt64(byte(offset &+ index)) << (8 * index)
    }
    return value
  }

  /// Carries out a write a byte at a time, lowest first.
  func writeBytes(_ value: UInt64, _ byte: (_ offset: UInt64, _ value: UInt8) -> Void) {
    for index in 0..<UInt64(width) {
      byte(offset &+ index, UInt8(truncatingIfNeeded: value >> (8 * index)))
    }
  }
}
