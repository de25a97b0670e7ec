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

  /// Copies what the request has to write, data or zeroes, to its place in the blocks of `piece`.
  func load(_ piece: DiskPiece, of request: borrowing DiskRequest) {
    let own = unsafe bytes(piece.before, piece.count)
    if case .fill = request.action {
      // SAFETY: the bytes are in the buffer.
      unsafe own.initializeMemory(as: UInt8.self, repeating: 0)
    } else {
      // SAFETY: as above, and nobody else has them.
      var span = unsafe MutableRawSpan(_unsafeBytes: own)
      _ = request.vector.load(at: 0, into: &span)
    }
  }

  /// Copies `count` bytes that were read from `offset` on to the beginning of what the request has left.
  func store(_ count: Int, from offset: Int, into request: borrowing DiskRequest) {
    // SAFETY: the bytes are in the buffer.
    let own = unsafe RawSpan(_unsafeBytes: bytes(offset, count))
    request.vector.store(own, at: 0, isNoted: false)
  }
}
