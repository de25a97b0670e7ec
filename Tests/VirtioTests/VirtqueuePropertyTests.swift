import GuestMemory
import TestSupport
import Testing
import Virtio

/// SplitMix64, so that a failure can be repeated from its seed.
struct Generator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = (state ^ state >> 30) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
    return mixed ^ mixed >> 31
  }
}

/// What a driver offered and what it expects back, by the queue-free reference: arrays of bytes.
private struct Offer {
  let head: UInt16
  let sent: [UInt8]
  let places: [MockBuffer]
  let slot: Int
}

@Suite struct VirtqueuePropertyTests {
  @Test(arguments: 0..<32, RingKind.allCases)
  func everyByteArrivesOnceWhateverTheLayout(seed: Int, ring: RingKind) throws {
    var random = Generator(state: UInt64(seed))
    let size =
      ring.isPacked
      ? UInt16.random(in: 4...64, using: &random)
      : UInt16(1) << UInt16.random(in: 2...6, using: &random)
    var features: VirtioFeatures = [.version1, .indirectDescriptors]
    if Bool.random(using: &random) { features.insert(.eventIndex) }
    if Bool.random(using: &random) { features.insert(.inOrder) }
    let start =
      ring.isPacked
      ? UInt16.random(in: 0..<size, using: &random) | (Bool.random(using: &random) ? 0x8000 : 0)
      : UInt16.random(in: 0...65535, using: &random)
    let rig = try QueueRig(ring, size: size, features: features, startingAt: start)
    var queue = try rig.makeQueue()
    var chain = rig.makeChain()
    var offers: [Offer] = []
    var replies: [UInt16: [UInt8]] = [:]
    // Each offer uses an area of its own, all around the boundary between the regions.
    var areas = Array(0..<64)
    var (offered, returned) = (0, 0)

    while returned < 400 {
      // The driver offers some.
      while offered < 400, let area = areas.last, Bool.random(using: &random) {
        let base = QueueRig.boundary - 0x8000 + UInt64(area) * 0x400 + 0x100
        let cuts = Int.random(in: 1...4, using: &random)
        let readers = Int.random(in: 0...cuts, using: &random)
        var buffers: [MockBuffer] = []
        var place = base + UInt64.random(in: 0...7, using: &random)
        for index in 0..<cuts {
          let count = UInt32.random(in: 0...90, using: &random)
          buffers.append(MockBuffer(GuestAddress(place), count, isWritable: index >= readers))
          place += UInt64(count) + UInt64.random(in: 0...3, using: &random)
        }
        let isIndirect = Bool.random(using: &random)
        guard isIndirect || cuts <= rig.driver.freeCount, rig.driver.freeCount > 0 else { break }
        var sent: [UInt8] = []
        for buffer in buffers where !buffer.isWritable {
          let bytes = (0..<buffer.count).map { _ in UInt8.random(in: 0...255, using: &random) }
          try rig.memory.write(bytes, at: buffer.address)
          sent += bytes
        }
        let table = GuestAddress(base - 0x100 + UInt64.random(in: 0...15, using: &random))
        let head = try rig.driver.add(buffers, table: isIndirect ? table : nil)
        areas.removeLast()
        offers.append(Offer(head: head, sent: sent, places: buffers, slot: area))
        offered += 1
      }
      // The device takes some, and answers them out of order.
      var taken: [(ChainTicket, UInt32)] = []
      while Bool.random(using: &random), try queue.pop(into: &chain) {
        let offer = try #require(offers.first { $0.head == chain.ticket.id })
        var received: [UInt8] = []
        while chain.readableCount > 0 {
          received += chain.readBytes(Int.random(in: 1...40, using: &random))
        }
        #expect(received == offer.sent)
        let room = Int(chain.writableCount)
        #expect(room == offer.places.reduce(0) { $0 + ($1.isWritable ? Int($1.count) : 0) })
        let reply = (0..<room).map { _ in UInt8.random(in: 0...255, using: &random) }
        var rest = reply[...]
        while !rest.isEmpty {
          let part = rest.prefix(Int.random(in: 1...40, using: &random))
          #expect(chain.write(Array(part)) == part.count)
          rest = rest.dropFirst(part.count)
        }
        replies[chain.ticket.id] = reply
        taken.append((chain.ticket, UInt32(room)))
      }
      for (ticket, count) in taken.shuffled(using: &random) {
        queue.complete(ticket, written: count)
      }
      queue.publish()
      // The driver looks at what came back.
      while let used = try rig.driver.takeUsed() {
        let index = try #require(offers.firstIndex { UInt32($0.head) == used.head })
        let offer = offers.remove(at: index)
        var bytes: [UInt8] = []
        for buffer in offer.places where buffer.isWritable {
          bytes += try rig.memory.read(at: buffer.address, count: Int(buffer.count))
        }
        #expect(bytes == replies.removeValue(forKey: offer.head))
        #expect(bytes.count == Int(used.written))
        areas.append(offer.slot)
        returned += 1
      }
    }
    #expect(offers.isEmpty)
    #expect(queue.state.available == queue.state.used)
  }
}
