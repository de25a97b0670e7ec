import GuestMemory
import TestSupport
import Testing
import Virtio

/// Devices that die with chains under way, and others that take over (vhost-user, in-flight tracking).
@Suite(.timeLimit(.minutes(5))) struct InflightTests {
  private static let features: VirtioFeatures = [.version1, .indirectDescriptors]

  private func makeRegion(_ ring: RingKind, size: UInt16) throws -> InflightRegion {
    let count = InflightRegion.byteCount(queueCount: 2, queueSize: size, isPacked: ring.isPacked)
    let memory = try GuestMemory(count: (count + 4095) & ~4095)
    return try #require(
      InflightRegion(memory, queueCount: 2, queueSize: size, isPacked: ring.isPacked)
    )
  }

  @Test(arguments: RingKind.allCases)
  func chainsOfTheDeadAndNewOnesArePutBackTheLastFirst(ring: RingKind) throws {
    let rig = try QueueRig(ring, features: Self.features)
    var configuration = rig.configuration
    configuration.inflight = try makeRegion(ring, size: 8)
    configuration.index = 1
    var chain = rig.makeChain()
    var heads = try (0..<2).map { _ in try rig.driver.add([.readable(0x21000, 8)]) }
    do {
      var dying = try Virtqueue(configuration, in: rig.memory)
      for _ in heads { #expect(try dying.pop(into: &chain)) }
    }
    heads.append(try rig.driver.add([.readable(0x21000, 8)]))
    var queue = try Virtqueue(configuration, in: rig.memory)
    for round in 0..<3 {
      var tickets: [ChainTicket] = []
      while try queue.pop(into: &chain) { tickets.append(chain.ticket) }
      #expect(tickets.map(\.id) == heads)
      if round < 2 { for ticket in tickets.reversed() { queue.putBack(ticket) } }
    }
  }

  @Test(arguments: 0..<40, RingKind.allCases)
  func whoeverDiesLosesNothingAndNothingIsDoneTwice(seed: Int, ring: RingKind) throws {
    var random = Generator(state: UInt64(seed))
    let size =
      ring.isPacked
      ? UInt16.random(in: 3...24, using: &random)
      : UInt16(1) << UInt16.random(in: 1...4, using: &random)
    let rig = try QueueRig(ring, size: size, features: Self.features)
    var configuration = rig.configuration
    configuration.index = 1
    configuration.inflight = try makeRegion(ring, size: size)
    var chain = rig.makeChain()
    var waiting: [UInt64: UInt16] = [:]
    var taken: [UInt64] = []
    var shown: Set<UInt64> = []
    var (offered, returned) = (0 as UInt64, 0 as UInt64)

    for _ in 0..<3000 where returned < 300 {
      // A device is born. What the last one had taken and not shown to be done comes first, in order.
      var queue = try Virtqueue(configuration, in: rig.memory)
      var inherited = taken.filter { !shown.contains($0) }[...]
      taken = []
      var tickets: [(ChainTicket, UInt64)] = []
      var unshown: [UInt64] = []
      for _ in 0..<Int.random(in: 1...40, using: &random) {
        switch Int.random(in: 0..<6, using: &random) {
        case 0:
          let isIndirect = Bool.random(using: &random)
          let cuts = Int.random(in: 1...2, using: &random)
          guard rig.driver.freeCount >= (isIndirect ? 1 : cuts + 1), offered < 400 else { continue }
          let base = 0x21000 + 0x100 * (offered % 64)
          try rig.memory.store64(offered, at: GuestAddress(base))
          var buffers: [MockBuffer] = [.readable(base, 8)]
          if cuts == 2 { buffers.append(.writable(base + 0x40, 8)) }
          let head = try rig.driver.add(
            buffers,
            table: isIndirect ? GuestAddress(base + 0x80) : nil
          )
          waiting[offered] = head
          offered += 1
        case 1, 2:
          let isFound = try queue.pop(into: &chain)
          guard isFound else {
            #expect(inherited.isEmpty)
            continue
          }
          let word = chain.readWord(UInt64.self)
          let number = try #require(word)
          if let expected = inherited.popFirst() { #expect(number == expected) }
          #expect(!shown.contains(number))
          if Int.random(in: 0..<5, using: &random) == 0 {
            queue.putBack()
            #expect(try queue.pop(into: &chain))
            let again = chain.readWord(UInt64.self)
            #expect(again == number)
          }
          taken.append(number)
          tickets.append((chain.ticket, number))
        case 3, 4:
          guard !tickets.isEmpty else { continue }
          let (ticket, number) = tickets.remove(
            at: Int.random(in: 0..<tickets.count, using: &random)
          )
          queue.complete(ticket, written: 0)
          unshown.append(number)
        default:
          queue.publish()
          shown.formUnion(unshown)
          unshown = []
          while let used = try rig.driver.takeUsed() {
            let number = try #require(waiting.first { $0.value == UInt16(used.head) }?.key)
            #expect(shown.contains(number))
            waiting[number] = nil
            returned += 1
          }
          if offered == 400, waiting.isEmpty { return }
        }
      }
      while let used = try rig.driver.takeUsed() {
        let number = try #require(waiting.first { $0.value == UInt16(used.head) }?.key)
        shown.insert(number)
        waiting[number] = nil
        returned += 1
      }
      // It dies: nothing of it is left but the two memories. Whoever had not come yet is still to come.
      taken = taken.filter { !shown.contains($0) } + inherited
      if !ring.isPacked { try configuration.setRingBase(0, in: rig.memory) }
      configuration.state.available = configuration.state.used
    }
    #expect(returned >= 300)
  }

  @Test func aBatchThatTheDriverSawIsDoneThoughNobodyNotedIt() throws {
    let rig = try QueueRig(size: 8, features: Self.features)
    var configuration = rig.configuration
    let region = try makeRegion(.split, size: 8)
    configuration.inflight = region
    let heads = try (0..<4).map { _ in try rig.driver.add([.readable(0x21000, 8)]) }
    var queue = try Virtqueue(configuration, in: rig.memory)
    var chain = rig.makeChain()
    var tickets: [ChainTicket] = []
    while try queue.pop(into: &chain) { tickets.append(chain.ticket) }
    queue.complete(tickets[0], written: 0)
    queue.publish()
    queue.complete(tickets[2], written: 0)
    queue.complete(tickets[1], written: 0)
    queue.publish()
    // As if it had died before it could note the second batch: the flags and the index are the old ones.
    for head in [heads[1], heads[2]] {
      try region.memory.store8(1, at: GuestAddress(16 + 16 * UInt64(head)))
    }
    try region.memory.store16(1, at: GuestAddress(14))

    configuration.state = VirtqueueState(available: 3, used: 3)
    var next = try Virtqueue(configuration, in: rig.memory)

    #expect(try next.pop(into: &chain))
    #expect(chain.ticket.id == heads[3])
    #expect(try next.pop(into: &chain) == false)
  }

  @Test func aPackedBatchThatTheDriverSawIsDoneThoughNobodyNotedIt() throws {
    let rig = try QueueRig(.packed, size: 8, features: Self.features)
    var configuration = rig.configuration
    let region = try makeRegion(.packed, size: 8)
    configuration.inflight = region
    for _ in 0..<3 { try rig.driver.add([.readable(0x21000, 8)]) }
    var queue = try Virtqueue(configuration, in: rig.memory)
    var chain = rig.makeChain()
    var tickets: [ChainTicket] = []
    while try queue.pop(into: &chain) { tickets.append(chain.ticket) }
    // The old values of the header, which it goes back to unless the driver saw the batch.
    let (head, index) = (
      try region.memory.load16(at: GuestAddress(14)), try region.memory.load16(at: GuestAddress(18))
    )
    queue.complete(tickets[1], written: 0)
    queue.publish()
    try region.memory.store16(head, at: GuestAddress(14))
    try region.memory.store16(index, at: GuestAddress(18))
    try region.memory.store8(1, at: GuestAddress(32 + 32 * 1))

    var next = try Virtqueue(configuration, in: rig.memory)

    var left: [UInt16] = []
    while try next.pop(into: &chain) { left.append(chain.ticket.id) }
    #expect(left == [tickets[0].id, tickets[2].id])
  }

  @Test(arguments: RingKind.allCases)
  func aRegionOfAnotherQueueIsRefused(ring: RingKind) throws {
    let rig = try QueueRig(ring, size: 8)
    var configuration = rig.configuration
    let region = try makeRegion(ring, size: 8)
    configuration.inflight = region
    _ = try Virtqueue(configuration, in: rig.memory)
    try region.memory.store16(4, at: GuestAddress(10))
    #expect(throws: VirtqueueError.foreignInflight(version: 1, size: 4, expected: 8)) {
      _ = try Virtqueue(configuration, in: rig.memory)
    }
    configuration.index = 2
    #expect(throws: VirtqueueError.noInflight(queue: 2, count: 2)) {
      _ = try Virtqueue(configuration, in: rig.memory)
    }
  }

  @Test(arguments: 0..<200, RingKind.allCases)
  func whateverIsInTheRegionNothingTraps(seed: Int, ring: RingKind) throws {
    var random = Generator(state: UInt64(seed))
    let rig = try QueueRig(ring, size: 8, features: Self.features)
    var configuration = rig.configuration
    let region = try makeRegion(ring, size: 8)
    configuration.inflight = region
    let count = InflightRegion.byteCount(queueCount: 1, queueSize: 8, isPacked: ring.isPacked)
    func scribble() throws {
      for address in 0..<count where Bool.random(using: &random) {
        let byte =
          UInt8.random(in: 0...255, using: &random) & UInt8.random(in: 0...9, using: &random)
        try region.memory.store8(byte, at: GuestAddress(address))
      }
      try region.memory.store16(1, at: GuestAddress(8))
      try region.memory.store16(8, at: GuestAddress(10))
    }
    try scribble()
    do {
      var queue = try Virtqueue(configuration, in: rig.memory)
      var chain = rig.makeChain()
      for _ in 0..<20 {
        if rig.driver.freeCount > 0 { try rig.driver.add([.readable(0x21000, 8)]) }
        guard try queue.pop(into: &chain) else { continue }
        try scribble()
        if Bool.random(using: &random) {
          queue.putBack()
        } else {
          queue.complete(chain, written: 0)
          queue.publish()
        }
      }
    } catch is VirtqueueError {
      // The device needs a reset, which is as it should be.
    }
  }

  @Test(arguments: RingKind.allCases)
  func theRegionCountsAndNotWhatTheFrontEndBelieves(ring: RingKind) throws {
    let rig = try QueueRig(ring, size: 8, features: Self.features)
    var configuration = rig.configuration
    configuration.inflight = try makeRegion(ring, size: 8)
    var chain = rig.makeChain()
    do {
      var queue = try Virtqueue(configuration, in: rig.memory)
      try rig.driver.add([.readable(0x21000, 8)])
      #expect(try queue.pop(into: &chain))
      queue.complete(chain, written: 0)
      queue.publish()
    }
    // Nothing is under way; what came since is not to be passed over, wherever the other side stands.
    let ids = try (0..<3).map { _ in try rig.driver.add([.readable(0x21000, 8)]) }
    configuration.state =
      ring.isPacked
      ? VirtqueueState(available: 0x8004, used: 0x8004) : VirtqueueState(available: 4, used: 9)

    var next = try Virtqueue(configuration, in: rig.memory)

    var found: [UInt16] = []
    while try next.pop(into: &chain) { found.append(chain.ticket.id) }
    #expect(found == ids)
  }

  @Test func whatIsPutBackAfterACompletionIsNoLongerUnderWay() throws {
    let rig = try QueueRig(.packed, size: 8, features: Self.features)
    var configuration = rig.configuration
    configuration.inflight = try makeRegion(.packed, size: 8)
    var chain = rig.makeChain()
    // More rounds than the region has entries: none may be lost to the list of free ones.
    for _ in 0..<40 {
      var queue = try Virtqueue(configuration, in: rig.memory)
      var tickets: [ChainTicket] = []
      while rig.driver.freeCount > 3 { try rig.driver.add([.readable(0x21000, 8)]) }
      while try queue.pop(into: &chain) { tickets.append(chain.ticket) }
      #expect(tickets.count == 5)
      queue.complete(tickets[0], written: 0)
      for ticket in tickets.dropFirst().reversed() { queue.putBack(ticket) }
      queue.publish()
      #expect(try rig.driver.takeUsed() != nil)
      #expect(try rig.driver.takeUsed() == nil)
    }
    let last = try Virtqueue(configuration, in: rig.memory)
    let isLeft = last.hasUnfinished
    #expect(!isLeft)
  }

  @Test(arguments: RingKind.allCases)
  func aQueueMayBeSmallerThanItsRegion(ring: RingKind) throws {
    let rig = try QueueRig(ring, size: 4, features: Self.features)
    var configuration = rig.configuration
    let region = try makeRegion(ring, size: 16)
    configuration.inflight = region
    var chain = rig.makeChain()
    for _ in 0..<3 { try rig.driver.add([.readable(0x21000, 8)]) }
    do {
      var queue = try Virtqueue(configuration, in: rig.memory)
      while try queue.pop(into: &chain) {}
    }
    // The specification has it as large as the region.
    #expect(try region.memory.load16(at: GuestAddress(10)) == 16)
    var next = try Virtqueue(configuration, in: rig.memory)
    var count = 0
    while try next.pop(into: &chain) { count += 1 }
    #expect(count == 3)
  }
}
