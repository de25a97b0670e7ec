import GuestMemory
import Virtio

/// What of the guest's memory a split queue lets its device use (virtio 1.2, 2.7): its rings, and the buffers of chains that
/// the driver has made available and the device has not used.
///
/// It follows the driver and the device from outside, with words that it reads itself: what the device says counts only
/// as an end.
struct WindowQueue {
  /// How a range is used.
  enum Use {
    case read
    case write
  }

  private struct Buffer {
    let address: UInt64
    let count: UInt32
    let isWritable: Bool
  }

  private let size: UInt16
  private let table: GuestAddress
  private let available: GuestAddress
  private let used: GuestAddress
  // Indices run freely, as those in the rings.
  private var nextAvailable: UInt16 = 0
  private var nextUsed: UInt16 = 0
  /// The buffers of chains that are out, by their heads.
  private var chains: [UInt16: [Buffer]] = [:]
  private var bufferCount = 0

  /// The most buffers that are kept; of a chain beyond them, none can be used.
  private static var bufferLimit: Int { 1 << 16 }

  /// A queue that the driver has placed there; `nil` if it can be none.
  init?(size: UInt16, table: UInt64, available: UInt64, used: UInt64, in memory: GuestMemory) {
    guard size > 0, size <= VirtqueueConfiguration.maximumSize, size & (size - 1) == 0,
      memory.contains(GuestAddress(table), count: 16 * UInt64(size)),
      memory.contains(GuestAddress(available), count: 6 + 2 * UInt64(size)),
      memory.contains(GuestAddress(used), count: 6 + 8 * UInt64(size))
    else { return nil }
    self.size = size
    self.table = GuestAddress(table)
    self.available = GuestAddress(available)
    self.used = GuestAddress(used)
  }

  /// Whether the device may use `count` bytes at `address`, which are the guest's memory; what it is about to write there
  /// is `bytes`.
  ///
  /// Chains that this would show the driver are no longer out afterwards: from the write on they are the driver's.
  mutating func allows(
    _ use: Use,
    _ address: UInt64,
    _ count: UInt64,
    writing bytes: [UInt8] = [],
    in memory: GuestMemory
  ) -> Bool {
    // 2.7.8: the index follows the flags. It is written by itself; see `isUsedRing`.
    if use == .write, address == used.rawValue &+ 2, count == 2, bytes.count == 2 {
      return takeUsed(upTo: UInt16(bytes[0]) | UInt16(bytes[1]) << 8, in: memory)
    }
    if isRing(use, address, count) || isBuffer(use, address, count) { return true }
    // The driver may have gone on.
    guard follow(in: memory) else { return false }
    return isRing(use, address, count) || isBuffer(use, address, count)
  }

  /// Takes the chains that the used ring has up to there out of the window, before the driver can see that.
  ///
  /// - Returns: Whether each of the entries says one chain that is out; otherwise nothing has changed. So there are never
  ///   more chains out than entries that the driver has not been shown.
  private mutating func takeUsed(upTo index: UInt16, in memory: GuestMemory) -> Bool {
    // A chain may be used of which no buffer was. Once the driver can see it, it may make the same head available anew:
    // so what is there is followed now, and not after the write.
    _ = follow(in: memory)
    let count = index &- nextUsed
    guard Int(count) <= chains.count else { return false }
    var heads: Set<UInt16> = []
    for step in 0..<count {
      let slot = UInt64((nextUsed &+ step) & (size &- 1))
      guard let id = try? memory.load32(at: used &+ (4 + 8 * slot)),
        let head = UInt16(exactly: id), chains[head] != nil, heads.insert(head).inserted
      else { return false }
    }
    for head in heads { bufferCount -= chains.removeValue(forKey: head)?.count ?? 0 }
    nextUsed = index
    return true
  }

  // MARK: Rings

  private func isRing(_ use: Use, _ address: UInt64, _ count: UInt64) -> Bool {
    switch use {
    case .read:
      Self.isInside(address, count, table, 16 * UInt64(size))
        || Self.isInside(address, count, available, 6 + 2 * UInt64(size))
        || Self.isInside(address, count, used, 6 + 8 * UInt64(size))
    case .write: isUsedRing(address, count)
    }
  }

  /// Whether the device may write there in the used ring: a field but its index, or an entry that it has not shown the
  /// driver.
  ///
  /// An entry that it has shown says which buffers are the driver's again.
  private func isUsedRing(_ address: UInt64, _ count: UInt64) -> Bool {
    let offset = address &- used.rawValue
    let entries: Range<UInt64> = 4..<4 + 8 * UInt64(size)
    guard entries.contains(offset) else {
      return count == 2 && (offset == 0 || offset == entries.upperBound)
    }
    let slot = UInt16(truncatingIfNeeded: (offset - 4) / 8)
    guard (offset - 4) % 8 + count <= 8 else { return false }
    return Int((slot &- nextUsed) & (size &- 1)) < chains.count
  }

  private static func isInside(
    _ address: UInt64,
    _ count: UInt64,
    _ start: GuestAddress,
    _ length: UInt64
  ) -> Bool {
    let offset = address &- start.rawValue
    return offset < length && count <= length - offset
  }

  // MARK: Buffers

  private func isBuffer(_ use: Use, _ address: UInt64, _ count: UInt64) -> Bool {
    chains.values.contains { chain in
      chain.contains { buffer in
        // 2.7.4.2: what is for the device to write it should not read; there may be anything of the driver's.
        buffer.isWritable == (use == .write)
          && Self.isInside(address, count, GuestAddress(buffer.address), UInt64(buffer.count))
      }
    }
  }

  /// Takes in what the driver has made available; whether it was anything.
  private mutating func follow(in memory: GuestMemory) -> Bool {
    guard let index = try? memory.load16(at: available &+ 2), index != nextAvailable,
      // 2.7.13: no more than the queue has entries; the device finds that wrong itself.
      index &- nextAvailable <= size
    else { return false }
    while nextAvailable != index {
      let slot = UInt64(nextAvailable & (size &- 1))
      nextAvailable &+= 1
      guard let head = try? memory.load16(at: available &+ (4 + 2 * slot)), head < size else {
        continue
      }
      let chain = walk(from: head, in: memory)
      bufferCount += chain.count - (chains[head]?.count ?? 0)
      chains[head] = chain
    }
    return true
  }

  /// The buffers of a chain, as many as it may have (2.7.5).
  private func walk(from head: UInt16, in memory: GuestMemory) -> [Buffer] {
    var buffers: [Buffer] = []
    var (table, count, index) = (self.table, UInt32(size), UInt32(head))
    var isIndirect = false
    for _ in 0...UInt32(size) {
      guard index < count, bufferCount + buffers.count < Self.bufferLimit,
        let address = try? memory.load64(at: table &+ 16 * UInt64(index)),
        let word = try? memory.load64(at: table &+ (16 * UInt64(index) + 8))
      else { break }
      let flags = word >> 32
      let buffer = Buffer(
        address: address,
        count: UInt32(truncatingIfNeeded: word),
        isWritable: flags & 2 != 0
      )
      // VIRTQ_DESC_F_INDIRECT: a table of descriptors, which the device reads.
      if flags & 4 != 0 {
        guard !isIndirect else { break }
        buffers.append(Buffer(address: address, count: buffer.count, isWritable: false))
        (table, count, index, isIndirect) = (GuestAddress(address), buffer.count / 16, 0, true)
        continue
      }
      buffers.append(buffer)
      // VIRTQ_DESC_F_NEXT.
      guard flags & 1 != 0 else { break }
      index = UInt32(truncatingIfNeeded: word >> 48)
    }
    return buffers
  }
}
