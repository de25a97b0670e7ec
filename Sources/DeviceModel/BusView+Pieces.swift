extension BusView {
  /// A part of an access with one owner.
  @safe
  private struct Piece {
    /// The owner's slot, or `nil` for nobody.
    let slot: UnsafeMutablePointer<BusSlot>?
    let offset: UInt64
    /// 1, 2, 4 or 8 bytes for a device, 1 to 8 for nobody.
    let width: Int
  }

  /// The part that begins `done` bytes into an access.
  ///
  /// It looks at the tables anew, so that what a handler of an earlier part removed is not called.
  private func piece(_ address: UInt64, _ width: Int, done: Int) -> Piece {
    let (start, isBeyond) = address.addingReportingOverflow(UInt64(done))
    let rest = width - done
    if isBeyond { return unsafe Piece(slot: nil, offset: 0, width: rest) }
    var end = start + min(UInt64(rest - 1), .max - start)
    var owner: (table: BusTable, index: Int)?
    if let table = localRoot.load() {
      let found = table.owner(of: start)
      end = min(end, found.through)
      if let index = found.index { owner = (table, index) }
    }
    if owner == nil, let table = busRoot.load() {
      let found = table.owner(of: start)
      end = min(end, found.through)
      if let index = found.index { owner = (table, index) }
    }
    let count = Int(end - start) + 1
    guard let owner else { return unsafe Piece(slot: nil, offset: 0, width: count) }
    // Naturally aligned: no wider than the lowest bit set in the address.
    let alignment = start.trailingZeroBitCount
    let size = min(count.bitWidth - 1 - count.leadingZeroBitCount, alignment)
    return unsafe Piece(
      slot: owner.table.slot(owner.index),
      offset: start - owner.table.first(owner.index),
      width: 1 << size
    )
  }

  /// Reads an access with several owners.
  @inline(never)
  func readPieces(_ address: UInt64, _ width: Int) -> UInt64 {
    precondition((1...8).contains(width), "an access of \(width) bytes")
    var value: UInt64 = 0
    var done = 0
    var hasGap = false
    while done < width {
      let piece = piece(address, width, done: done)
      var part = lowBytes(piece.width)
      if let slot = unsafe piece.slot {
        part = unsafe slot.pointee.read(piece.offset, piece.width)
      } else {
        hasGap = true
      }
      value |= part << UInt64(8 * done)
      done += piece.width
    }
    if hasGap { countUnclaimed() }
    return value
  }

  /// Writes an access with several owners.
  @inline(never)
  func writePieces(_ value: UInt64, _ address: UInt64, _ width: Int) {
    precondition((1...8).contains(width), "an access of \(width) bytes")
    var done = 0
    var hasGap = false
    while done < width {
      let piece = piece(address, width, done: done)
      if let slot = unsafe piece.slot {
        unsafe slot.pointee.write(value >> UInt64(8 * done), piece.offset, piece.width)
      } else {
        hasGap = true
      }
      done += piece.width
    }
    if hasGap { countUnclaimed() }
  }
}
