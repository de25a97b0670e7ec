import GuestMemory

/// Following a chain through the descriptor table, each descriptor read exactly once.
extension SplitRing {
  /// Collects the buffers of the chain that begins with descriptor `head`.
  mutating func walk(
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
      // Two words, read once each.
      let place = 16 &* UInt64(index)
      let address = GuestAddress(table.load64(place, in: chain.memory))
      let word = table.load64(place &+ 8, in: chain.memory)
      let length = UInt32(truncatingIfNeeded: word)
      let flags = UInt16(truncatingIfNeeded: word >> 32)
      if flags & DescriptorFlag.indirect != 0 {
        guard isIndirectAllowed else { throw .indirectNotNegotiated(head: head) }
        // 2.7.5.3.1: no table in a table, and none with a successor.
        guard !isIndirect else { throw .nestedIndirect(head: head, index: index) }
        guard flags & DescriptorFlag.next == 0 else { throw .indirectWithNext(head: head) }
        // 16 bytes an entry, numbered by 16 bits. The table need not be aligned, nor contiguous in the
        // host.
        guard length > 0, length % 16 == 0, length / 16 <= 65536 else {
          throw .badIndirectLength(head: head, count: length)
        }
        guard let window = chain.memory.window(address, count: UInt64(length)) else {
          throw .indirectOutsideMemory(head: head, address, count: length)
        }
        table = window
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
      index = UInt16(truncatingIfNeeded: word >> 48)
    }
  }
}
