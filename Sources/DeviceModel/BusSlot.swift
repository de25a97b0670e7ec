/// What a ``BusTable`` knows of one range, apart from the first address, which is its key.
///
/// Noncopyable, so that a lookup borrows the device in place: no retain, no release.
struct BusSlot: ~Copyable {
  let device: any BusDevice
  let last: UInt64
  let region: Int

  @inline(__always)
  borrowing func read(_ offset: UInt64, _ width: Int) -> UInt64 {
    device.read(BusAccess(region: region, offset: offset, width: width)) & lowBytes(width)
  }

  @inline(__always)
  borrowing func write(_ value: UInt64, _ offset: UInt64, _ width: Int) {
    device.write(
      value & lowBytes(width),
      BusAccess(region: region, offset: offset, width: width)
    )
  }
}

/// A mask of the low `width` bytes, for 1 to 8.
@inline(__always)
func lowBytes(_ width: Int) -> UInt64 {
  .max &>> (64 &- 8 &* UInt64(truncatingIfNeeded: width))
}
