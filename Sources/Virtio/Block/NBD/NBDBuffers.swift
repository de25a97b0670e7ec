/// A bounded number of buffers, made as they are needed and used again; for one queue.
final class NBDBuffers {
  // 8 MiB for each queue.
  private static var limit: Int { 32 }

  private var free: [BounceBuffer] = []
  private var count = 0

  /// Takes one, unless all are taken.
  func take() -> BounceBuffer? {
    if let buffer = free.popLast() { return buffer }
    guard count < Self.limit else { return nil }
    count += 1
    return BounceBuffer(alignment: 16)
  }

  /// Gives one back.
  func giveBack(_ buffer: BounceBuffer) { free.append(buffer) }
}
