import CLinux

/// An immutable map from addresses to devices: the ranges of one bus, sorted, in one allocation.
///
/// Layout: a header, then the first addresses of all ranges (the keys, dense, since a search touches
/// only them), then a ``BusSlot`` for each. Ranges never overlap.
///
/// A table owns its memory but not its devices, whose references the bus's claims hold: making the next
/// table copies bits and touches no reference count. Made and freed by ``Bus`` alone.
@safe
struct BusTable: @unchecked Sendable {
  // Sendable: nothing in it changes between `init` and `free`.
  let memory: UnsafeRawPointer

  @unsafe
  private struct Header {
    let count: Int
    let slots: UnsafeMutablePointer<BusSlot>
  }

  @inline(__always)
  init(memory: UnsafeRawPointer) {
    unsafe self.memory = memory
  }

  private var header: UnsafePointer<Header> {
    // SAFETY: `init(editing:removing:adding:)` put a header at the start.
    @inline(__always) get { unsafe memory.assumingMemoryBound(to: Header.self) }
  }

  /// The number of ranges; never 0, an empty bus has no table.
  var count: Int {
    @inline(__always) get { unsafe header.pointee.count }
  }

  private var keys: UnsafePointer<UInt64> {
    // SAFETY: the keys follow the header.
    @inline(__always) get {
      unsafe (memory + MemoryLayout<Header>.size).assumingMemoryBound(to: UInt64.self)
    }
  }

  /// The first address of range `index`.
  @inline(__always)
  func first(_ index: Int) -> UInt64 { unsafe keys[index] }

  /// What is known of range `index`, valid as long as the table.
  @inline(__always)
  func slot(_ index: Int) -> UnsafeMutablePointer<BusSlot> {
    // SAFETY: callers take `index` from a search, which stays below `count`.
    unsafe header.pointee.slots + index
  }

  /// The last range that starts at or below `address`; 0 if there is none, so the caller compares.
  ///
  /// No branch depends on the address, so a guest that jumps about costs no mispredictions.
  @inline(__always)
  func index(atOrBelow address: UInt64) -> Int {
    let keys = unsafe self.keys
    var index = 0
    var count = self.count
    while count > 1 {
      let half = count &>> 1
      // SAFETY: index + count never exceeds the number of keys.
      let isBelow = unsafe keys[index &+ half] <= address
      let mask = apus_opaque(0 &- (isBelow ? 1 : 0))
      index &+= half & Int(truncatingIfNeeded: mask)
      count &-= half
    }
    return index
  }

  /// The range that has `address`, or `nil`, and the last address for which that answer holds.
  func owner(of address: UInt64) -> (index: Int?, through: UInt64) {
    let index = self.index(atOrBelow: address)
    if first(index) > address { return (nil, first(index) &- 1) }
    let last = unsafe slot(index).pointee.last
    if last >= address { return (index, last) }
    return (nil, index &+ 1 < count ? first(index &+ 1) &- 1 : .max)
  }
}

/// A range to be put into a table.
struct BusInsertion: Sendable {
  let addresses: ClosedRange<UInt64>
  let region: Int
  let device: any BusDevice
}

extension BusTable {
  /// Where the slots begin, so that none straddles two cache lines.
  private static func slotOffset(_ count: Int) -> Int {
    let end = unsafe MemoryLayout<Header>.size + count * MemoryLayout<UInt64>.stride
    let alignment = MemoryLayout<BusSlot>.stride
    return (end + alignment - 1) / alignment * alignment
  }

  /// The size of the allocation of a table with `count` ranges, in bytes.
  static func byteCount(_ count: Int) -> Int {
    slotOffset(count) + count * MemoryLayout<BusSlot>.stride
  }

  /// Makes a table from `old` without the ranges that start at `removed`, with those `added`.
  ///
  /// Both lists are sorted, and what results has no overlap: the bus has checked.
  static func make(
    editing old: BusTable?,
    removing removed: [UInt64],
    adding added: [BusInsertion]
  ) -> BusTable? {
    let oldCount = old?.count ?? 0
    let count = oldCount - removed.count + added.count
    if count == 0 { return nil }
    // SAFETY: every key and slot is written below before the table is seen by anyone; 64 is the size of
    // a cache line, so that a short table's header and keys share one.
    let memory = UnsafeMutableRawPointer.allocate(
      byteCount: byteCount(count),
      alignment: 64
    )
    let keys = unsafe (memory + MemoryLayout<Header>.size).bindMemory(
      to: UInt64.self,
      capacity: count
    )
    let slots = unsafe (memory + slotOffset(count)).bindMemory(
      to: BusSlot.self,
      capacity: count
    )
    unsafe memory.initializeMemory(as: Header.self, to: Header(count: count, slots: slots))
    var source = 0
    var target = 0
    var removals = removed[...]

    // Copies old ranges up to `stop`, leaving out the removed ones, in runs.
    func copy(upTo stop: Int) {
      guard let old else { return }
      while source < stop {
        var end = stop
        var skip = 0
        if let key = removals.first {
          let index = old.index(atOrBelow: key)
          if index < stop {
            end = index
            skip = 1
            removals.removeFirst()
          }
        }
        let run = end - source
        // SAFETY: bits are copied without retaining: the claims hold the devices.
        unsafe (keys + target).update(from: old.keys + source, count: run)
        unsafe UnsafeMutableRawPointer(slots + target).copyMemory(
          from: old.slot(source),
          byteCount: run * MemoryLayout<BusSlot>.stride
        )
        target += run
        source = end + skip
      }
    }

    for range in added {
      if let old {
        let index = old.index(atOrBelow: range.addresses.lowerBound)
        copy(upTo: old.first(index) > range.addresses.lowerBound ? index : index + 1)
      }
      let last = range.addresses.upperBound
      unsafe keys[target] = range.addresses.lowerBound
      unsafe (slots + target).initialize(
        to: BusSlot(device: range.device, last: last, region: range.region)
      )
      // SAFETY: gives back the reference that `initialize` took; the claim's own keeps the device alive.
      unsafe Unmanaged<AnyObject>.passUnretained(range.device).release()
      target += 1
    }
    copy(upTo: oldCount)
    return unsafe BusTable(memory: memory)
  }

  /// Frees the memory; nobody may be searching it.
  func free() {
    // SAFETY: allocated by `make`; the slots own nothing, so there is nothing to deinitialize.
    unsafe UnsafeMutableRawPointer(mutating: memory).deallocate()
  }
}
