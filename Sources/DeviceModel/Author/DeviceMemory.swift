public import GuestMemory

/// The guest's memory as a device reaches it, by direct memory access (DMA).
///
/// Where the memory is no concern of the device's: it may be mapped here, or be reached by messages to the
/// process that has it, which takes some microseconds. An access succeeds or throws, whatever becomes of the
/// memory, of the driver or of the other process; of one that throws, a part may have been done. Nothing is
/// reached while the driver keeps the function from being a bus master (PCI 3.0, 6.2.2). Any thread may call,
/// with no lock held that a register access waits for, unless it is a register access itself.
public protocol DeviceMemory: AnyObject, Sendable {
  /// Reads `count` bytes.
  func read(at address: GuestAddress, count: Int) throws(DMAError) -> [UInt8]
  /// Writes bytes.
  func write(_ bytes: [UInt8], at address: GuestAddress) throws(DMAError)
}

extension DeviceMemory {
  /// Reads a little-endian number.
  public func load<Word: FixedWidthInteger & UnsignedInteger>(
    _ type: Word.Type,
    at address: GuestAddress
  ) throws(DMAError) -> Word {
    let bytes = try read(at: address, count: Word.bitWidth / 8)
    return bytes.reversed().reduce(0) { $0 << 8 | Word($1) }
  }

  /// Writes a little-endian number.
  public func store(
    _ word: some FixedWidthInteger & UnsignedInteger,
    at address: GuestAddress
  ) throws(DMAError) {
    let bytes = stride(from: 0, to: word.bitWidth, by: 8).map {
      UInt8(truncatingIfNeeded: word >> $0)
    }
    try write(bytes, at: address)
  }
}
