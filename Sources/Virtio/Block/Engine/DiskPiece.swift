/// As much of a request as a buffer holds, and the whole blocks that it is in.
struct DiskPiece: BitwiseCopyable {
  /// Where the first of the blocks begins.
  let start: UInt64
  /// How many bytes of it come before those of the request.
  let before: Int
  /// How many bytes are the request's.
  let count: Int
  /// How many bytes all blocks have.
  let blockCount: Int

  /// The next piece of `request` for a ``BounceBuffer``.
  ///
  /// - Parameters:
  ///   - request: What is left of it is looked at.
  ///   - block: The bytes in a block, a power of 2.
  ///   - limit: The most bytes in all blocks, a multiple of the block.
  init(of request: borrowing DiskRequest, block: UInt64, limit: Int = BounceBuffer.count) {
    start = request.offset & ~(block - 1)
    before = Int(request.offset - start)
    count = Int(min(request.leftCount, UInt64(limit - before)))
    blockCount = (before + count + Int(block) - 1) & ~(Int(block) - 1)
  }

  /// Whether nothing else is in the blocks.
  var isWhole: Bool { before == 0 && count == blockCount }
}
