import GuestMemory

/// Following a chain through the descriptor table, each descriptor read exactly once.
extension Virtqueue {
  /// The flags of a descriptor (virtio 1.2, 2.7.5).
  private enum Flag {
    static var next: UInt16 { 1 }
    static var write: UInt16 { 2 }
    static var indirect: UInt16 { 4 }
  }

  /// Collects the buffers of the chain that begins with descriptor `head`.
  func walk(from head: UInt16, into chain: inout DescriptorChain) throws(VirtqueueError) {
    chain.removeAll()
    chain.head = head
    var table = descriptorTable
    var count = UInt32(size)
    var index = head
    var isIndirect = false
    var buffers: UInt16 = 0
    while true {
      guard UInt32(index) < count else { throw .noSuchDescriptor(index: index, count: count) }
      let (address, length, flags, next) = try load(index, of: table, head)
      if flags & Flag.indirect != 0 {
        guard hasIndirectDescriptors else { throw .indirectNotNegotiated(head: head) }
        // 2.7.5.3.1: no table in a table, and none with a successor.
        guard !isIndirect else { throw .nestedIndirect(head: head, index: index) }
        guard flags & Flag.next == 0 else { throw .indirectWithNext(head: head) }
        // 16 bytes an entry, numbered by 16 bits. The table is only looked up entry by entry: it
        // need not be aligned, nor contiguous in the host.
        guard length > 0, length % 16 == 0, length / 16 <= 65536 else {
          throw .badIndirectLength(head: head, count: length)
        }
        guard memory.contains(address, count: UInt64(length)) else {
          throw .indirectOutsideMemory(head: head, address, count: length)
        }
        table = address
        count = length / 16
        index = 0
        isIndirect = true
        continue
      }
      // 2.7.5.2 forbids loops and 2.7.5.3.1 chains above the queue's size, in a table too.
      guard buffers < size else { throw .chainTooLong(head: head, limit: size) }
      buffers += 1
      let isWritable = flags & Flag.write != 0
      // 2.7.4.2: all readable buffers come before all writable ones.
      guard isWritable || chain.isAllReadable else {
        throw .readableAfterWritable(head: head, index: index)
      }
      guard length == 0 || memory.contains(address, count: UInt64(length)) else {
        throw .bufferOutsideMemory(head: head, address, count: length)
      }
      let total = chain.append(address, count: length, isWritable: isWritable)
      // 2.7.5.2: at most 2^32 bytes in all.
      guard total <= 1 << 32 else { throw .tooManyBytes(head: head, count: total) }
      guard flags & Flag.next != 0 else { return }
      index = next
    }
  }

  /// Reads one descriptor: two words, once each.
  private borrowing func load(
    _ index: UInt16,
    of table: GuestAddress,
    _ head: UInt16
  ) throws(VirtqueueError) -> (GuestAddress, UInt32, flags: UInt16, next: UInt16) {
    let place = table &+ 16 &* UInt64(index)
    do throws(GuestMemoryError) {
      let address = try memory.load64(at: place)
      let rest = try memory.load64(at: place &+ 8)
      return (
        GuestAddress(address),
        UInt32(truncatingIfNeeded: rest),
        UInt16(truncatingIfNeeded: rest >> 32),
        UInt16(truncatingIfNeeded: rest >> 48)
      )
    } catch {
      throw .indirectOutsideMemory(head: head, place, count: 16)
    }
  }
}
