/// One contiguous range of the RAM of a guest whose memory belongs to another process.
public struct SharedRegion: Sendable {
  /// The first guest-physical address.
  public let start: GuestAddress
  /// The bytes, all of which are RAM.
  public let mapping: SharedMapping

  /// Places `mapping` at `start`.
  public init(start: GuestAddress, mapping: SharedMapping) {
    self.start = start
    self.mapping = mapping
  }

  /// The length in bytes.
  public var count: UInt64 { mapping.count }
}
