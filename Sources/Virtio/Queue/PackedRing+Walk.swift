import GuestMemory

/// Following a list of descriptors through the ring, each descriptor read exactly once.
extension PackedRing {
  /// Collects the buffers of the chain that begins where the device stands, each descriptor read
  /// exactly once.
  ///
  /// Of its first descriptor, `first` are the last 8 bytes.
  mutating func walk(
    from first: UInt64,
    into chain: inout DescriptorChain,
    isIndirectAllowed: Bool
  ) throws(VirtqueueError) {
    let head = nextAvailable.index
    chain.begin(at: head)
    if isTracked { inflight.abandon() }
    var position = nextAvailable
    var word = first
    var slots: UInt16 = 0
    while true {
      // 2.8.17 forbids chains above the ring's size, and thereby loops.
      guard slots < size else { throw .chainTooLong(head: head, limit: size) }
      // 2.8.16: descriptors that the device has not used are not the driver's to fill.
      guard slots < size &- out else { throw .descriptorsInUse(head: head, count: out, size: size) }
      slots &+= 1
      let address = ring.load64(place(of: position), in: chain.memory)
      if isTracked { inflight.note(address, word, in: region) }
      let isLast = try Self.add(
        GuestAddress(address),
        word,
        number: slots,
        from: position.index,
        into: &chain,
        limit: size,
        isIndirectAllowed: isIndirectAllowed
      )
      if isLast { break }
      position.advance(by: 1, size: size)
      // 2.8.6: the list was written before its first descriptor's flags, so these are not asked
      // again.
      word = ring.load64(place(of: position) &+ 8, in: chain.memory)
    }
    // 2.8.6: the last descriptor of the list has the buffer ID.
    chain.ticket.id = UInt16(truncatingIfNeeded: word >> 32)
    chain.ticket.slots = slots
  }

  /// Collects the buffers of a chain that was under way when another device died, from what that had
  /// noted: in the ring itself used descriptors may have taken its place.
  mutating func walk(
    again unfinished: UnfinishedChains.Chain,
    into chain: inout DescriptorChain,
    isIndirectAllowed: Bool
  ) throws(VirtqueueError) {
    let (entry, count) = (unfinished.number, unfinished.slots)
    chain.begin(at: entry)
    var number = entry
    var slots: UInt16 = 0
    var isLast = false
    while !isLast {
      guard number < inflight.size, slots < count else {
        throw .badInflight(chain: entry, descriptors: count, size: size)
      }
      slots &+= 1
      let descriptor = inflight.descriptor(number, in: region)
      isLast = try Self.add(
        GuestAddress(descriptor.address),
        descriptor.word,
        number: slots,
        from: number,
        into: &chain,
        limit: size,
        isIndirectAllowed: isIndirectAllowed
      )
      number = descriptor.next
      chain.ticket.id = UInt16(truncatingIfNeeded: descriptor.word >> 32)
    }
    chain.ticket.slots = count
    chain.ticket.entry = entry
  }

  /// Adds what the descriptor stands for that is number `number` of its list, and returns whether it
  /// is the last one.
  @inline(__always)
  private static func add(
    _ address: GuestAddress,
    _ word: UInt64,
    number: UInt16,
    from index: UInt16,
    into chain: inout DescriptorChain,
    limit: UInt16,
    isIndirectAllowed: Bool
  ) throws(VirtqueueError) -> Bool {
    let length = UInt32(truncatingIfNeeded: word)
    let flags = UInt16(truncatingIfNeeded: word >> 48)
    if flags & DescriptorFlag.indirect != 0 {
      guard isIndirectAllowed else { throw .indirectNotNegotiated(head: chain.head) }
      // 2.8.19: a table stands alone.
      guard flags & DescriptorFlag.next == 0 else { throw .indirectWithNext(head: chain.head) }
      guard number == 1 else { throw .indirectAfterDirect(head: chain.head, index: index) }
      try walk(address, count: length, into: &chain, limit: limit)
    } else {
      try chain.add(
        address,
        count: length,
        isWritable: flags & DescriptorFlag.write != 0,
        from: index,
        limit: limit
      )
    }
    return flags & DescriptorFlag.next == 0
  }

  /// Collects the buffers of a table: all of its entries, one after the other (2.8.7).
  private static func walk(
    _ table: GuestAddress,
    count: UInt32,
    into chain: inout DescriptorChain,
    limit: UInt16
  ) throws(VirtqueueError) {
    guard count > 0, count % 16 == 0 else {
      throw .badIndirectLength(head: chain.head, count: count)
    }
    // 2.8.19: no longer than the device allows, which is the ring's size.
    guard count / 16 <= UInt32(limit) else {
      throw .chainTooLong(head: chain.head, limit: limit)
    }
    guard let window = chain.memory.window(table, count: UInt64(count)) else {
      throw .indirectOutsideMemory(head: chain.head, table, count: count)
    }
    for index in 0..<UInt16(truncatingIfNeeded: count / 16) {
      let place = 16 &* UInt64(index)
      // All of the table is RAM. It need not be aligned, nor contiguous in the host.
      let address = GuestAddress(window.load64(place, in: chain.memory))
      let word = window.load64(place &+ 8, in: chain.memory)
      let flags = UInt16(truncatingIfNeeded: word >> 48)
      // 2.8.7: all flags but one, and the buffer ID, are ignored.
      try chain.add(
        address,
        count: UInt32(truncatingIfNeeded: word),
        isWritable: flags & DescriptorFlag.write != 0,
        from: index,
        limit: limit
      )
    }
  }
}
