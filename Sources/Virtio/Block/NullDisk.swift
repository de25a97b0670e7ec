/// A disk without storage, for measuring: it reads as zeroes, and what is written vanishes.
public final class NullDisk: Sendable {
  /// What messages call it.
  public let path: String
  /// The size in bytes.
  public let count: UInt64
  /// Whether it cannot be written.
  public let isReadOnly: Bool

  /// Makes a disk of `count` bytes, a multiple of 512 of at least that.
  public init(count: UInt64, isReadOnly: Bool = false) {
    precondition(count > 0 && count % DiskImage.sectorSize == 0, "a disk of \(count) bytes")
    self.count = count
    self.isReadOnly = isReadOnly
    path = "null:\(count)"
  }
}

extension NullDisk: DiskStorage {
  var logicalBlockSize: UInt64 { DiskImage.sectorSize }
  var physicalBlockSize: UInt64 { DiskImage.sectorSize }
  var canDiscard: Bool { !isReadOnly }
  var canZero: Bool { !isReadOnly }
  var notice: String? { nil }

  func measure() -> UInt64 { count }
  func makeEngine(_ requests: DiskRequests, _ log: LimitedLog) -> any DiskEngine {
    NullEngine(requests)
  }
}
