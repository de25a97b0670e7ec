import GuestMemory
import HostOS
import Testing
import TestSupport

/// Says to a back end what a real front end said, and lets its driver make one request for each start of
/// a ring.
final class CaptureReplay {
  private struct Ring {
    var size: UInt16 = 0
    var table: UInt64 = 0
    var available: UInt64 = 0
    var used: UInt64 = 0
    var isKicked = false
    var isEnabled = false
    var isDone = false
  }

  private let frontEnd: VhostUserFrontEnd
  private let memory: GuestMemory
  private var rings: [Int: Ring] = [:]
  private var offered: UInt64 = 0
  private var userBase: UInt64 = 0
  private var inflight: OwnedFileDescriptor?
  private let backend: SocketPair
  /// How many requests the driver made.
  private(set) var requestCount = 0

  /// Talks through `frontEnd`, whose memory is the guest's.
  init(_ frontEnd: VhostUserFrontEnd) throws {
    self.frontEnd = frontEnd
    memory = frontEnd.memory
    backend = try SocketPair()
  }

  /// Replays all requests but those for extensions that are not offered here.
  func run(_ capture: Capture) throws {
    for request in capture.requests where request.number != 44 {
      prepare(request)
      let (payload, descriptors) = try message(request)
      #expect(payload.count == request.size)
      #expect(descriptors.count == request.descriptors)
      try frontEnd.send(request.number, payload, descriptors: descriptors, flags: request.flags)
      if let size = request.replySize { try check(request, size) }
      try drive(Int(request["index"]))
    }
  }

  /// Notes what is needed later.
  private func prepare(_ request: Capture.Request) {
    let index = Int(request["index"])
    let event = Int(request["u64"] & 0xFF)
    switch request.number {
    case 8: rings[index, default: Ring()].size = UInt16(request["num"])
    case 9:
      rings[index, default: Ring()].table = request["desc"]
      rings[index, default: Ring()].available = request["avail"]
      rings[index, default: Ring()].used = request["used"]
    case 11:
      rings[index, default: Ring()].isKicked = false
    case 12:
      rings[event, default: Ring()].isKicked = true
      rings[event, default: Ring()].isDone = false
    case 18: rings[index, default: Ring()].isEnabled = request["num"] == 1
    case 34: for index in rings.keys { rings[index]?.isEnabled = false }
    case 37: userBase = request["uva"]
    default: break
    }
  }

  private func message(_ request: Capture.Request) throws -> ([UInt8], [Int32]) {
    let event = Int(request["u64"] & 0xFF)
    switch request.number {
    case 2: return (VhostUserFrontEnd.words(request["u64"]), [])
    case 16: return (VhostUserFrontEnd.words(request["u64"] & offered), [])
    case 39: return (VhostUserFrontEnd.words(request["u64"]), [])
    case 8, 10, 11, 18:
      return (VhostUserFrontEnd.words(UInt32(request["index"]), UInt32(request["num"])), [])
    case 9:
      let fields = (request["desc"], request["used"], request["avail"], request["log"])
      return (
        VhostUserFrontEnd.words(
          UInt32(request["index"]),
          UInt32(request["flags"]),
          fields.0,
          fields.1,
          fields.2,
          fields.3
        ), []
      )
    case 12: return (VhostUserFrontEnd.words(request["u64"]), [frontEnd.kicks[event].rawValue])
    case 13: return (VhostUserFrontEnd.words(request["u64"]), [frontEnd.calls[event].rawValue])
    case 14: return (VhostUserFrontEnd.words(request["u64"]), [frontEnd.errors[event].rawValue])
    case 21: return ([], [backend.far.rawValue])
    case 24:
      let size = request["size"]
      return (
        VhostUserFrontEnd.words(UInt32(request["off"]), UInt32(size), UInt32(0))
          + [UInt8](repeating: 0, count: Int(size)), []
      )
    case 31, 32:
      let payload = VhostUserFrontEnd.words(
        request.number == 31 ? 0 : inflightSize,
        request["off"],
        UInt16(request["nq"]),
        UInt16(request["qs"]),
        UInt32(0)
      )
      return (payload, request.number == 31 ? [] : [inflight.borrow { $0.rawValue } ?? -1])
    case 37:
      return (
        VhostUserFrontEnd.words(
          UInt64(0),
          request["gpa"],
          request["size"],
          request["uva"],
          request["off"]
        ), [frontEnd.memoryNumber]
      )
    default: return ([], [])
    }
  }

  private var inflightSize: UInt64 = 0

  private func check(_ request: Capture.Request, _ size: Int) throws {
    let (payload, descriptors) = try frontEnd.receiveReply(request.number)
    #expect(payload.count == size, "\(request.name)")
    for number in descriptors { inflight = OwnedFileDescriptor(adopting: number) }
    #expect(descriptors.count == (request.number == 31 ? 1 : 0))
    let value = VhostUserFrontEnd.word(payload, at: 0, as: UInt64.self)
    switch request.number {
    case 15: offered = value
    case 31: inflightSize = value
    // The index, and one request for each start.
    case 11: #expect(value == request["index"] | 1 << 32)
    default: break
    }
    if request.flags & 8 != 0, size == 8 { #expect(value == 0, "\(request.name)") }
  }

  /// Makes a request on a ring that has just become complete.
  private func drive(_ index: Int) throws {
    for (index, ring) in rings
    where ring.isKicked && ring.isEnabled && !ring.isDone && ring.size > 0 {
      rings[index]?.isDone = true
      requestCount += 1
      try request(index, ring)
    }
  }

  private func request(_ index: Int, _ ring: Ring) throws {
    let table = GuestAddress(ring.table - userBase)
    let available = GuestAddress(ring.available - userBase)
    let used = GuestAddress(ring.used - userBase)
    let buffer: UInt64 = 0x10_0000
    // 16 bytes that are a flush to a disk, and 64 to write.
    try memory.store64(4, at: GuestAddress(buffer))
    try memory.store64(0, at: GuestAddress(buffer + 8))
    try MockDescriptor(buffer, 16, MockDescriptor.next, next: 1).store(0, of: table, in: memory)
    try MockDescriptor(buffer + 16, 64, MockDescriptor.write).store(1, of: table, in: memory)
    try memory.store16(0, at: used &+ 2)
    try memory.store16(0, at: available &+ 4)
    try memory.store16(1, at: available &+ 2)
    frontEnd.kicks[index].signal()
    let isUsed = try waitUntil { try memory.load16(at: used &+ 2) == 1 }
    #expect(isUsed, "ring \(index)")
  }
}
