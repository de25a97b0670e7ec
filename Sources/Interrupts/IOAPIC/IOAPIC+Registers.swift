public import DeviceModel

/// The I/O APIC's window in memory (82093AA, 3.1; ICH9, 13.5).
extension IOAPIC {
  private enum Register: UInt64 {
    case select = 0x00
    case window = 0x10
    case endOfInterrupt = 0x40
  }

  /// Reads IOREGSEL or the register it selects; all else is 0.
  ///
  /// The data sheet demands accesses of 32 bits. A narrower read gives the low bytes, a wider one
  /// no more than 32 bits.
  public func read(_ access: BusAccess) -> UInt64 {
    let value: UInt32
    switch Register(rawValue: access.offset) {
    case .select: value = registers.withLock { UInt32($0.index) }
    case .window: value = registers.withLock { $0.selected }
    case .endOfInterrupt, nil: value = 0  // EOI is write-only (ICH9, 13.5.4).
    }
    return UInt64(value) & UInt64.max >> (64 - 8 * UInt64(min(access.width, 4)))
  }

  /// Writes IOREGSEL, the register it selects, or EOI; all else is ignored.
  ///
  /// The data sheet demands accesses of 32 bits. The bytes that a narrower write lacks are 0, and
  /// those that a wider one has to spare are ignored.
  public func write(_ value: UInt64, _ access: BusAccess) {
    let value = UInt32(truncatingIfNeeded: value)
    switch Register(rawValue: access.offset) {
    case .select: registers.withLock { $0.index = UInt8(truncatingIfNeeded: value) }
    case .window: change { $0.writeSelected(value) }
    case .endOfInterrupt: endOfInterrupt(vector: UInt8(truncatingIfNeeded: value))
    case nil: break
    }
  }
}
