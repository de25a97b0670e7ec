/// A place in a packed ring, with the wrap counter that goes with it (virtio 1.2, 2.8.1).
struct PackedPosition: Equatable, Sendable {
  /// The number of the descriptor, below the ring's size.
  private(set) var index: UInt16
  /// The wrap counter: true on the first way through the ring, then false, and so on.
  private(set) var wrap: Bool

  /// Takes apart the form that an event suppression structure (2.8.14) and ``VirtqueueState`` have:
  /// the wrap counter above 15 bits of index.
  init(rawValue: UInt16) {
    index = rawValue & 0x7FFF
    wrap = rawValue & 0x8000 != 0
  }

  /// The wrap counter above 15 bits of index.
  var rawValue: UInt16 { index | (wrap ? 0x8000 : 0) }

  /// Moves on by `count` descriptors of a ring of `size`, at most once around.
  @inline(__always)
  mutating func advance(by count: UInt16, size: UInt16) {
    // Both are at most 32768, but their sum needs a bit more.
    let sum = UInt32(index) &+ UInt32(count)
    let isWrapped = sum >= UInt32(size)
    index = UInt16(truncatingIfNeeded: isWrapped ? sum &- UInt32(size) : sum)
    if isWrapped { wrap.toggle() }
  }

  /// Undoes ``advance(by:size:)``.
  mutating func retreat(by count: UInt16, size: UInt16) {
    let isWrapped = index < count
    index = isWrapped ? index &+ (size &- count) : index &- count
    if isWrapped { wrap.toggle() }
  }

  /// How many descriptors `self` is ahead of `other`, which is at most once around behind; `nil` if
  /// it cannot be.
  func distance(from other: Self, size: UInt16) -> UInt16? {
    if wrap == other.wrap { return index >= other.index ? index &- other.index : nil }
    return index <= other.index ? size &- (other.index &- index) : nil
  }
}
