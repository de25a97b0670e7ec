/// One contiguous range of guest RAM, backed by a range of a memory file.
public struct GuestRegion: Equatable, Sendable {
  /// The first guest-physical address.
  public let start: GuestAddress
  /// The length in bytes; a multiple of the page size in memory of our own.
  public let count: UInt64
  /// Where the region starts in the memory file.
  public let fileOffset: UInt64

  /// Describes `count` bytes at `start`, from `fileOffset` in the file.
  public init(start: GuestAddress, count: UInt64, fileOffset: UInt64) {
    self.start = start
    self.count = count
    self.fileOffset = fileOffset
  }

  /// The first address after the region.
  public var end: GuestAddress { start &+ count }
}
