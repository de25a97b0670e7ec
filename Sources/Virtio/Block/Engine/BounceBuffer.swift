import GuestMemory

/// Memory of the host's own, aligned as direct I/O needs it, for what guest RAM is not.
@safe
final class BounceBuffer {
  /// The length in bytes.
  static var count: Int { 256 << 10 }

  private let start: UnsafeMutableRawPointer

  init(alignment: Int) {
    unsafe start = .allocate(byteCount: Self.count, alignment: max(alignment, 16))
    // Nobody shall find what was here before.
    unsafe start.initializeMemory(as: UInt8.self, repeating: 0, count: Self.count)
  }

  deinit {
    unsafe start.deallocate()
  }

  /// The bytes from `offset` on, `count` of them.
  func bytes(_ offset: Int, _ count: Int) -> UnsafeMutableRawBufferPointer {
    precondition(offset >= 0 && count >= 0 && count <= Self.count - offset, "beyond the buffer")
    // SAFETY: the range is inside.
    return unsafe UnsafeMutableRawBufferPointer(start: start + offset, count: count)
  }
}
