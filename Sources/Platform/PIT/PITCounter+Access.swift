/// The counter's port: one or two bytes of a count, latched or not (8254, "read operations").
extension PITCounter {
  private enum Bytes: UInt8 {
    case low = 1
    case high = 2
    case both = 3
  }

  private var bytes: Bytes { Bytes(rawValue: control >> 4 & 3) ?? .both }

  /// Holds the count until it is read; it is not latched twice.
  mutating func latchCount(at now: UInt64) {
    if latchedCount == nil { latchedCount = countRegister(at: now) }
  }

  /// Holds the status until it is read; it is not latched twice.
  mutating func latchStatus(at now: UInt64) {
    if latchedStatus == nil { latchedStatus = status(at: now) }
  }

  /// Reads a byte: of the status if it is latched, else of the count.
  mutating func readByte(at now: UInt64) -> UInt8 {
    if let status = latchedStatus {
      latchedStatus = nil
      return status
    }
    let value = latchedCount ?? countRegister(at: now)
    let isHigh = bytes == .high || bytes == .both && readsHigh
    readsHigh = bytes == .both && !readsHigh
    if !readsHigh { latchedCount = nil }
    return UInt8(truncatingIfNeeded: isHigh ? value >> 8 : value)
  }

  /// Writes a byte of a count, which is complete with this one or the next.
  mutating func writeByte(_ value: UInt8, at now: UInt64) {
    switch bytes {
    case .low: write(count: UInt16(value), at: now)
    case .high: write(count: UInt16(value) << 8, at: now)
    case .both:
      guard let low = writtenLow else {
        writtenLow = value
        return stop(at: now)
      }
      writtenLow = nil
      write(count: UInt16(value) << 8 | UInt16(low), at: now)
    }
  }
}
