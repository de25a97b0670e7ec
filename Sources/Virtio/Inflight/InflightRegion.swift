public import GuestMemory

/// Shared memory in which a back end notes the chains that are under way, so that another one can
/// take over where it died (vhost-user, "Inflight I/O tracking").
///
/// It has one part for each queue, laid out as that protocol describes, in the byte order of this
/// machine, which is little-endian. The other side may write it at any time: what is read from it is
/// checked as what a driver writes. Any thread may hold it; each part belongs to its queue's thread.
public struct InflightRegion: Sendable {
  /// The memory, with its first byte at guest address 0.
  public let memory: GuestMemory
  /// How many queues there is a part for.
  public let queueCount: Int
  /// The most entries that one of these queues has.
  public let queueSize: UInt16
  /// Whether the queues are packed ones.
  public let isPacked: Bool

  /// Parts begin at multiples of this, so that no two queues share a line of the processor's cache.
  private static var alignment: UInt64 { 64 }

  /// Describes a region; `nil` if the memory is too small, or the size is none that a queue may have.
  ///
  /// - Parameters:
  ///   - memory: At least ``byteCount(queueCount:queueSize:isPacked:)`` bytes from address 0 on; all
  ///     zeroes in a new one.
  ///   - queueCount: How many queues it is for.
  ///   - queueSize: The most entries of one of them.
  ///   - isPacked: Whether they are packed ones.
  public init?(_ memory: GuestMemory, queueCount: Int, queueSize: UInt16, isPacked: Bool) {
    guard (1...VirtqueueConfiguration.maximumSize).contains(queueSize),
      (1...Int(UInt16.max)).contains(queueCount)
    else { return nil }
    let count = Self.byteCount(queueCount: queueCount, queueSize: queueSize, isPacked: isPacked)
    guard memory.contains(GuestAddress(0), count: count) else { return nil }
    self.memory = memory
    self.queueCount = queueCount
    self.queueSize = queueSize
    self.isPacked = isPacked
  }

  /// The bytes that a region needs for so many queues of so many entries, at most 65,535 and 32,768.
  public static func byteCount(queueCount: Int, queueSize: UInt16, isPacked: Bool) -> UInt64 {
    UInt64(queueCount) * stride(queueSize: queueSize, isPacked: isPacked)
  }

  /// Where the part of a queue begins; `nil` if there is none for a queue like this.
  func part(of queue: VirtqueueConfiguration) -> GuestAddress? {
    let index = queue.index
    guard (0..<queueCount).contains(index), queue.isPacked == isPacked, queue.size <= queueSize
    else { return nil }
    return GuestAddress(UInt64(index) * Self.stride(queueSize: queueSize, isPacked: isPacked))
  }

  /// Whether any device has used a part before.
  ///
  /// The version is at the same place for both kinds of ring.
  static func isInUse(_ part: GuestAddress, in memory: GuestMemory) -> Bool {
    memory.ringWord16(at: part &+ 8) != 0
  }

  /// Makes the part of a queue as in a new region.
  func clear(_ queue: Int) {
    guard (0..<queueCount).contains(queue) else { return }
    let stride = Self.stride(queueSize: queueSize, isPacked: isPacked)
    let part = GuestAddress(UInt64(queue) * stride)
    // First: with it, the part is not in use, however much of the rest is left.
    memory.setRingWord16(0, at: part &+ 8)
    try? memory.zero(part, count: stride)
  }

  /// Makes all of it as new, whatever kind of queues it was for before.
  func clear() {
    let count = Self.byteCount(queueCount: queueCount, queueSize: queueSize, isPacked: true)
    try? memory.zero(GuestAddress(0), count: min(count, memory.regions.first?.count ?? 0))
  }

  private static func stride(queueSize: UInt16, isPacked: Bool) -> UInt64 {
    let count =
      isPacked
      ? PackedInflight.headerCount + PackedInflight.entryCount * UInt64(queueSize)
      : SplitInflight.headerCount + SplitInflight.entryCount * UInt64(queueSize)
    return (count + alignment - 1) / alignment * alignment
  }
}
