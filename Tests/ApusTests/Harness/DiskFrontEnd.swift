import GuestMemory
import TestSupport
import Testing

/// A front end that has a served disk's only queue going.
struct DiskFrontEnd {
  let memory: GuestMemory
  let front: VhostUserFrontEnd
  let queue: MockQueue

  init(_ socket: String) throws {
    memory = try GuestMemory(count: 4 << 20)
    front = try VhostUserFrontEnd(UnixConnection.make(socket), memory: memory)
    let features = try front.negotiate()
    try front.shareMemory()
    queue = try front.makeQueue(at: GuestAddress(0x10000), features: features)
    try front.startRing(0, queue)
  }

  /// The status of a read or write of a sector, and its first byte.
  func request(_ type: UInt32, sector: UInt64) throws -> (status: UInt8, first: UInt8) {
    try memory.store32(type, at: GuestAddress(0x20000))
    try memory.store64(sector, at: GuestAddress(0x20008))
    let data: MockBuffer = type == 0 ? .writable(0x21000, 512) : .readable(0x21000, 512)
    try queue.add([.readable(0x20000, 16), data, .writable(0x20100, 1)])
    try front.kick(0, queue)
    #expect(try waitUntil { try queue.takeUsed() != nil })
    return (
      try memory.load8(at: GuestAddress(0x20100)), try memory.load8(at: GuestAddress(0x21000))
    )
  }
}
