/// One range of a discard or write-zeroes request (virtio 1.2, 5.2.6,
/// `struct virtio_blk_discard_write_zeroes`).
struct BlockRange {
  /// The length of the structure in bytes.
  static var size: UInt64 { 16 }

  let sector: UInt64
  let sectorCount: UInt32
  /// Whether zeroed sectors may be given up.
  let mayUnmap: Bool
  /// Whether bits are set that nobody has given a meaning.
  let hasUnknownFlags: Bool

  /// The length of the range in bytes.
  var byteCount: UInt64 { UInt64(sectorCount) * DiskImage.sectorSize }

  /// Takes the next range off the front of `chain`; `nil` if it is cut short.
  init?(_ chain: inout DescriptorChain) {
    guard let sector = chain.readWord(UInt64.self), let count = chain.readWord(UInt32.self),
      let flags = chain.readWord(UInt32.self)
    else { return nil }
    self.sector = sector
    sectorCount = count
    mayUnmap = flags & 1 != 0
    hasUnknownFlags = flags & ~1 != 0
  }
}
