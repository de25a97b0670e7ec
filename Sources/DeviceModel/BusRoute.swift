/// Who answers an access.
@safe
enum BusRoute {
  /// One device has every byte.
  case device(UnsafeMutablePointer<BusSlot>, offset: UInt64)
  /// No device has any byte.
  case nobody
  /// The bytes have different owners, or the width is no power of two.
  case several
}

extension BusTable {
  /// Who answers the access of `more + 1` bytes from `address` to `last`; `nil` if no range here has any.
  ///
  /// `last` may have wrapped: then a range is found only if it has both ends of the space, and is
  /// too short for the access.
  @inline(__always)
  func route(_ address: UInt64, _ more: UInt64, _ last: UInt64) -> BusRoute? {
    // The last range that starts within or before the access: if that one has none of it, none has.
    let index = self.index(atOrBelow: last)
    let first = self.first(index)
    let slot = unsafe self.slot(index)
    let end = unsafe slot.pointee.last
    guard first <= last, end >= address else { return nil }
    guard first <= address, end &- address >= more else { return .several }
    return unsafe .device(slot, offset: address &- first)
  }
}
