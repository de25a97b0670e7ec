// Fuzzes the message stream of a vhost-user front end: whatever it says, the back end ends the session in bounded time, and
// nothing that came with it stays open.
import CFuzzer
import FuzzSupport
import Glibc
import GuestMemory
import HostOS
import Logging
import RemoteDevice
import Virtio

/// Makes a disk of 64 sectors that goes away with the process.
func makeDisk() throws -> DiskImage {
  var name = Array("/tmp/apus-fuzz-XXXXXX".utf8CString)
  let number = mkstemp(&name)
  precondition(number >= 0 && ftruncate(number, 64 * 512) == 0, "no temporary file")
  let path = String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  let disk = try DiskImage(opening: path)
  unlink(path)
  close(number)
  return disk
}

/// What a message may be about, so that some of them mean something: the guest's 256 KiB of memory.
nonisolated(unsafe) let memory = try GuestMemory(count: 256 << 10)
nonisolated(unsafe) let device = Block(
  try makeDisk(),
  name: "disk",
  options: Block.Options(queueCount: 2)
)
nonisolated(unsafe) let events = try (0..<4).map { _ in try EventFD() }
nonisolated(unsafe) let never = try EventFD()
nonisolated(unsafe) let other = try SocketPair()

/// Words as they are on the wire.
func words(_ list: [UInt64], of count: Int) -> [UInt8] {
  list.flatMap { word in (0..<count).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) } }
}

/// A payload of the right length and, mostly, with values that can be.
func payload(_ request: UInt32, _ script: inout Script) -> [UInt8] {
  let choice = UInt64(script.byte())
  let index = choice & 1
  switch request {
  case 2, 16, 39: return words([features(&script)], of: 8)
  case 5:
    let count = choice & 3
    return words([count, 0], of: 4) + (0..<count).flatMap { _ in region(&script) }
  case 6: return words([4096, UInt64(script.byte()) << 10], of: 8)
  case 8: return words([index, 1 << (choice >> 4)], of: 4)
  case 9:
    let base = UInt64(script.byte()) << 10
    return words([index, choice >> 7], of: 4)
      + words([base, base + 0x1800, base + 0x1000, base], of: 8)
  case 10, 11: return words([index, UInt64(script.byte()) << (choice & 24)], of: 4)
  case 12, 13, 14: return words([index | (choice & 0x80) << 1], of: 8)
  case 18: return words([index, choice >> 7], of: 4)
  case 24, 25: return words([choice & 63, 8, choice >> 7], of: 4) + words([choice], of: 8)
  case 31, 32: return words([65536, 0], of: 8) + words([2, 64, 0, 0], of: 2)
  case 37, 38: return words([0], of: 8) + region(&script)
  default: return []
  }
}

func region(_ script: inout Script) -> [UInt8] {
  let page = UInt64(script.byte() & 63)
  let count = UInt64(script.byte() & 63) + 1
  return words([page << 12, count << 12, 1 << 40 | page << 12, page << 12], of: 8)
}

func features(_ script: inout Script) -> UInt64 {
  let some = UInt64(script.byte()) | UInt64(script.byte()) << 28
  return script.byte() & 1 == 0 ? 1 << 32 | some & 0x7_3000_0000 | 1 << 30 : some
}

func run(_ bytes: UnsafeBufferPointer<UInt8>) throws {
  var script = Script(bytes)
  let pair = try SocketPair()
  let numbers =
    events.map(\.rawValue) + [memory.file.borrow { $0.rawValue } ?? 0, other.near.rawValue]
  while !script.isAtEnd {
    let request = UInt32(script.byte() & 63)
    var body = payload(request, &script)
    let shape = script.byte()
    if shape & 0x1F == 0 { body.append(0) }
    let flags: UInt64 = shape & 0x20 == 0 ? 9 : 1
    let header = words([UInt64(request), flags, UInt64(body.count)], of: 4)
    let kind = Int(script.byte())
    let count = expectedDescriptors(request, body) + (kind >> 5 == 7 ? 1 : 0)
    let first = kind >> 4 & 1 == 0 ? usualDescriptor(request) : kind % numbers.count
    let sent = [Int32](repeating: numbers[first], count: min(count, 32))
    guard try SocketIO.send(pair.near.rawValue, (header + body)[...], descriptors: sent) > 0
    else { break }
    if shape & 0x40 != 0 { events[Int(shape & 1)].signal() }
  }
  shutdown(pair.near.rawValue, Int32(SHUT_WR))
  let logger = Logger(label: "fuzz") { _ in SwiftLogNoOpLogHandler() }
  try VhostUserServer(device, logger: logger).run(
    .connection(try pair.far.duplicated()),
    until: never.rawValue
  )
}

/// The place among the descriptors of what a request usually has.
func usualDescriptor(_ request: UInt32) -> Int {
  switch request {
  case 5, 6, 32, 37: 4
  case 21: 5
  default: 0
  }
}

func expectedDescriptors(_ request: UInt32, _ payload: [UInt8]) -> Int {
  switch request {
  case 5: Int(payload.first ?? 0)
  case 6, 7, 21, 32, 37: 1
  case 12, 13, 14: payload.count > 1 && payload[1] & 1 == 1 ? 0 : 1
  default: 0
  }
}

runFuzzer { count, arguments in
  LLVMFuzzerRunDriver(count, arguments) { data, size in
    let before = countOpen()
    // What the front end did wrong is logged; anything thrown is the host's.
    try? run(UnsafeBufferPointer(start: data, count: size))
    precondition(countOpen() == before, "\(countOpen()) descriptors, \(before) before")
    return 0
  }
}
