/// Private memory that stands for a range of distant memory in host I/O.
@safe
final class BounceMemory {
  /// The first byte, at the beginning of a page.
  let address: UnsafeMutableRawPointer
  private let count: UInt64
  let distant: DistantMemory

  /// Makes zeroed memory, so that what no transfer fills is not another request's; `nil` if there is too much of it.
  init?(_ count: UInt64, for distant: DistantMemory) {
    guard distant.reserve(count) else { return nil }
    self.count = count
    self.distant = distant
    unsafe address = .allocate(byteCount: Int(count), alignment: Int(GuestMemory.pageSize))
    unsafe address.initializeMemory(as: UInt8.self, repeating: 0, count: Int(count))
  }

  deinit {
    unsafe address.deallocate()
    distant.free(count)
  }
}
