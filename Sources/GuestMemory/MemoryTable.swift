/// Where guest addresses are in the host: one entry a region, by ascending address.
///
/// Plain words, which a lookup reads without touching a reference count.
@safe
@usableFromInline
struct MemoryTable: ~Copyable {
  @usableFromInline
  struct Entry: BitwiseCopyable {
    @usableFromInline let start: UInt64
    @usableFromInline let count: UInt64
    @usableFromInline let address: UInt

    init(start: UInt64, count: UInt64, address: UInt) {
      self.start = start
      self.count = count
      self.address = address
    }
  }

  @usableFromInline let entries: UnsafeMutablePointer<Entry>
  @usableFromInline let count: Int

  /// Copies the entries; without any, there is one that no address is in.
  init(_ list: [Entry]) {
    let list = list.isEmpty ? [Entry(start: 0, count: 0, address: 0)] : list
    count = list.count
    unsafe entries = .allocate(capacity: list.count)
    for (index, entry) in list.enumerated() {
      unsafe (entries + index).initialize(to: entry)
    }
  }

  deinit { unsafe entries.deallocate() }

  /// The last entry that starts at or below `address`, or else the first.
  @inlinable
  @inline(__always)
  func find(_ address: UInt64) -> Entry {
    var low = 0
    var length = count
    // By halves: none for one region, two for three or four, and nine for the most that anybody has.
    while length > 1 {
      let half = length &>> 1
      // SAFETY: `low + half < count`, for `low + length` never grows.
      let isAbove = unsafe entries[low &+ half].start <= address
      low = isAbove ? low &+ half : low
      length &-= half
    }
    // SAFETY: there is at least one entry, and `low < count`.
    return unsafe entries[low]
  }
}
