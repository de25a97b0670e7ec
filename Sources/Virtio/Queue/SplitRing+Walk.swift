import GuestMemory

/// Following a chain through the descriptor table, each descriptor read exactly once.
extension SplitRing {
  /// Collects the buffers of the chain that begins with descriptor `head`.
  func walk(
    from head: UInt16,
    into chain: inout DescriptorChain,
    isIndirectAllowed: Bool
  ) throws(VirtqueueError) {
    chain.begin(at: head)
    chain.ticket.id = head
    chain.ticket.slots = 1
    var table = table
    var count = UInt32(size)
    var index = head
    var isIndirect = false
    while true {
      guard UInt32(index) < count else { throw .noSuchDescriptor(index: index, count: count) }
      let (address, length, flags, next) = try load(index, of: table, for: chain)
      if flags & DescriptorFlag.indirect != 0 {
        guard isIndirectAllowed else { throw .indirectNotNegotiated(head: head) }
        // 2.7.5.3.1: no table in a table, and none with a successor.
        guard !isIndirect else { throw .nestedIndirect(head: head, index: index) }
        guard flags & DescriptorFlag.next == 0 else { throw .indirectWithNext(head: head) }
        // 16 bytes an entry, numbered by 16 bits. The table is only looked up entry by entry: it
        // need not be aligned, nor contiguous in the host.
        guard length > 0, length % 16 == 0, length / 16 <= 65536 else {
          throw .badIndirectLength(head: head, count: length)
        }
        guard chain.memory.contains(address, count: UInt64(length)) else {
          throw .indirectOutsideMemory(head: head, address, count: length)
        }
        table = address
        count = length / 16
        index = 0
        isIndirect = true
        continue
      }
      try chain.add(
        address,
        count: length,
        isWritable: flags & DescriptorFlag.write != 0,
        from: index,
        limit: size
      )
      guard flags & DescriptorFlag.next != 0 else { return }
      index = next
    }
  }

  /// Reads one descriptor: two words, once each.
  @inline(__always)
  private borrowing func load(
    _ index: UInt16,
    of table: GuestAddress,
    for chain: borrowing DescriptorChain
  ) throws(VirtqueueError) -> (GuestAddress, UInt32, flags: UInt16, next: UInt16) {
    let place = table &+ 16 &* UInt64(index)
    do throws(GuestMemoryError) {
      let address = try chain.memory.load64(at: place)
      let rest = try chain.memory.load64(at: place &+ 8)
      return (
        GuestAddress(address),
        UInt32(truncatingIfNeeded: rest),
        UInt16(truncatingIfNeeded: rest >> 32),
        UInt16(truncatingIfNeeded: rest >> 48)
      )
    } catch {
      throw .indirectOutsideMemory(head: chain.head, place, count: 16)
    }
  }
}
