import GuestMemory

/// The buffers of a chain one after the other, in storage that grows and is kept.
///
/// An `Array` would do the same, but asks at each change whether its storage is shared. The
/// descriptors of a chain go through here one by one, and this storage never is.
@safe
struct SegmentBuffer: ~Copyable {
  /// A buffer, as far as the chain goes.
  struct Segment: BitwiseCopyable {
    let address: GuestAddress
    let count: UInt32
  }

  private var storage: UnsafeMutablePointer<Segment>
  private var capacity: Int
  private(set) var count = 0

  /// Makes an empty buffer.
  init() {
    capacity = 16
    unsafe storage = .allocate(capacity: 16)
  }

  deinit {
    unsafe storage.deallocate()
  }

  subscript(index: Int) -> Segment {
    @inline(__always)
    get {
      precondition(index >= 0 && index < count, "no such segment")
      // SAFETY: below `count`, segments are initialized.
      return unsafe storage[index]
    }
  }

  /// Adds a segment.
  @inline(__always)
  mutating func append(_ segment: Segment) {
    if count == capacity { grow() }
    // SAFETY: `count` is below the capacity.
    unsafe (storage + count).initialize(to: segment)
    count &+= 1
  }

  /// Forgets all segments, and keeps the storage.
  @inline(__always)
  mutating func removeAll() { count = 0 }

  /// Doubles the storage.
  @inline(never)
  private mutating func grow() {
    let larger = UnsafeMutablePointer<Segment>.allocate(capacity: 2 * capacity)
    // SAFETY: `count` segments are initialized, and the new storage has room for twice as many.
    unsafe larger.moveInitialize(from: storage, count: count)
    unsafe storage.deallocate()
    unsafe storage = larger
    capacity *= 2
  }
}
