import GuestMemory

/// Filling a chain, by the rules that both kinds of ring have.
extension DescriptorChain {
  /// Begins a chain whose first descriptor is number `head` of its ring.
  @inline(__always)
  mutating func begin(at head: UInt16) {
    removeAll()
    self.head = head
    ticket = ChainTicket()
  }

  /// Adds the buffer of descriptor `index`, if the chain may have it: at most as many as the
  /// queue's size, `limit`.
  @inline(__always)
  mutating func add(
    _ address: GuestAddress,
    count: UInt32,
    isWritable: Bool,
    from index: UInt16,
    limit: UInt16
  ) throws(VirtqueueError) {
    // 2.7.5.2 and 2.8.17 forbid loops, and chains above the queue's size; 2.7.5.3.1 and 2.8.19 in a
    // table too.
    guard bufferCount < Int(limit) else { throw .chainTooLong(head: head, limit: limit) }
    // 2.7.4.2, 2.8.17: all readable buffers come before all writable ones.
    guard isWritable || isAllReadable else {
      throw .readableAfterWritable(head: head, index: index)
    }
    guard count == 0 || memory.holds(address, count: UInt64(count)) else {
      throw .bufferOutsideMemory(head: head, address, count: count)
    }
    let total = append(address, count: count, isWritable: isWritable)
    if isWritable { ticket.isWritable = true }
    // 2.7.5.2: at most 2^32 bytes in all. The packed ring's length of 32 bits says the same.
    guard total <= 1 << 32 else { throw .tooManyBytes(head: head, count: total) }
  }
}
