/// `struct virtio_blk_config` (virtio 1.2, 5.2.4).
enum BlockConfiguration {
  /// The length up to `unused1`.
  static var count: Int { 60 }
  /// Where the write cache is switched: 1 for write-back, 0 for write-through (5.2.4).
  static var writebackOffset: UInt64 { 32 }
  /// The most ranges of one discard; one that has more is refused.
  static var discardRangeLimit: UInt32 { 16 }
  /// The most sectors of one range of a discard: 1 GiB.
  static var discardSectorLimit: UInt32 { 1 << 21 }
  /// The most sectors that one request zeroes: 64 MiB, since zeroes may have to be written out.
  static var zeroSectorLimit: UInt32 { 1 << 17 }

  /// The configuration of a disk over `storage` with `queueCount` queues of `queueSize` entries,
  /// without what can change.
  static func bytes(
    of storage: any DiskStorage,
    queueCount: Int,
    queueSize: UInt16
  ) -> ConfigurationBytes {
    var bytes = ConfigurationBytes()
    // A request has a header and a status besides its data, and as many buffers as the queue has
    // entries at most (2.7.5.3.1).
    bytes.set(UInt32(queueSize - 2), at: 12)
    bytes.set(UInt32(clamping: storage.logicalBlockSize), at: 20)
    let blocks = storage.physicalBlockSize / storage.logicalBlockSize
    let blockSectors = storage.physicalBlockSize / DiskImage.sectorSize
    // Topology: logical blocks in a physical one as a power of 2, the first aligned one, and the sizes of
    // requests that go well, in blocks.
    bytes.set(UInt8(blocks.trailingZeroBitCount), at: 24)
    bytes.set(UInt8(0), at: 25)
    bytes.set(UInt16(clamping: blocks), at: 26)
    bytes.set(UInt32(0), at: 28)
    bytes.set(UInt16(queueCount), at: 34)
    bytes.set(discardSectorLimit, at: 36)
    bytes.set(discardRangeLimit, at: 40)
    bytes.set(UInt32(clamping: blockSectors), at: 44)
    bytes.set(zeroSectorLimit, at: 48)
    bytes.set(UInt32(1), at: 52)
    bytes.set(UInt8(1), at: 56)
    return bytes
  }
}
