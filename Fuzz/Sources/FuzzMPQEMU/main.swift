// Fuzzes the message stream of a proxy of the multi-process protocol, of both generations: whatever it says, the server ends the
// connection in bounded time, and nothing that came with it stays open.
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

/// The guest's 256 KiB of memory, and where its firmware puts the BAR.
nonisolated(unsafe) let memory = try GuestMemory(count: 256 << 10)
let bar: UInt64 = 0xC000_0000
nonisolated(unsafe) let events = try (0..<4).map { _ in try EventFD() }
nonisolated(unsafe) let never = try EventFD()
nonisolated(unsafe) let other = try SocketPair()
nonisolated(unsafe) let server = try MPQEMUServer.make(
  Block(try makeDisk(), name: "disk", options: Block.Options(queueCount: 2)),
  logger: Logger(label: "fuzz") { _ in SwiftLogNoOpLogHandler() }
)

/// Words as they are on the wire.
func words(_ list: [UInt64], of count: Int) -> [UInt8] {
  list.flatMap { word in (0..<count).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) } }
}

/// A command of the current generation with the payload that it has, mostly of values that can be.
func payload(_ command: UInt8, _ script: inout Script) -> [UInt8] {
  switch command {
  case 0:
    let regions = (0..<8).map { _ in (UInt64(script.byte() & 63), UInt64(script.byte() & 63) + 1) }
    return words(regions.map { $0.0 << 12 }, of: 8) + words(regions.map { $0.1 << 12 }, of: 8)
      + words(regions.map { $0.0 << 12 }, of: 8)
  case 1: return words([UInt64(script.byte())], of: 8)
  case 2, 3:
    let offset = UInt64(script.byte())
    return words([offset, value(&script), [1, 2, 4, 4][Int(script.byte() & 3)]], of: 4)
  case 4, 5:
    let base = UInt64(script.byte()) << 4 | UInt64(script.byte() & 0xF)
    let address = bar + base & 0x3FFF
    return words([address, value(&script)], of: 8)
      + words([[1, 2, 4, 8][Int(script.byte() & 3)], 1], of: 4)
  default: return []
  }
}

/// Small numbers, places in memory, and what a BAR is told.
func value(_ script: inout Script) -> UInt64 {
  let byte = UInt64(script.byte())
  switch script.byte() & 3 {
  case 0: return byte
  case 1: return byte << 10
  case 2: return bar
  default: return byte << 24 | byte
  }
}

/// How many descriptors go with a command, and which of them.
func descriptors(_ command: UInt8, _ script: inout Script) -> [Int32] {
  let file = memory.file.borrow { $0.rawValue } ?? 0
  let choice = script.byte()
  let count = command == 0 ? Int(choice & 7) : command == 6 ? 2 : 0
  if choice >> 5 == 7 {
    let all = events.map(\.rawValue) + [file, other.near.rawValue]
    return Array(repeating: all[Int(choice) % all.count], count: Int(choice & 15))
  }
  return command == 0
    ? Array(repeating: file, count: max(1, count))
    : (0..<count).map { events[$0].rawValue }
}

func run(_ bytes: UnsafeBufferPointer<UInt8>) throws {
  var script = Script(bytes)
  let pair = try SocketPair()
  let isOld = script.byte() & 3 == 3
  while !script.isAtEnd {
    let command = script.byte() % 9
    var body = payload(command, &script)
    let sent = descriptors(command, &script)
    let shape = script.byte()
    if isOld, [0, 1, 4, 5, 7].contains(command) {
      body += [UInt8](repeating: 0, count: 192 - body.count)
    }
    if shape & 0x3F == 0 { body.append(0) }
    // The old generation's numbers are one higher, but for a reset and the heartbeat.
    let number: UInt64 =
      !isOld ? UInt64(command) : command == 7 ? 10 : command == 8 ? 9 : UInt64(command) + 1
    let marks: UInt64 = isOld && (command == 2 || command == 3) ? 1 : 0
    let header = words([number, marks], of: 4) + words([UInt64(body.count)], of: 8)
    guard try SocketIO.send(pair.near.rawValue, (header + body)[...], descriptors: sent) > 0
    else { break }
    if shape & 0x40 != 0 { events[1].signal() }
    if shape & 0x80 != 0 { try drain(pair.near.rawValue) }
  }
  shutdown(pair.near.rawValue, Int32(SHUT_WR))
  try server.run(try pair.far.duplicated(), until: never.rawValue)
}

/// Takes answers, so that there is room for more.
func drain(_ socket: Int32) throws {
  var bytes = [UInt8](repeating: 0, count: 4096)
  var batch = DescriptorBatch()
  _ = try SocketIO.receive(socket, into: &bytes, from: 0, count: bytes.count, &batch)
}

runFuzzer { count, arguments in
  // What is made once and kept.
  try? run(UnsafeBufferPointer(start: nil, count: 0))
  return LLVMFuzzerRunDriver(count, arguments) { data, size in
    let before = countOpen()
    // What the proxy did wrong is logged; anything thrown is the host's.
    try? run(UnsafeBufferPointer(start: data, count: size))
    precondition(countOpen() == before, "\(countOpen()) descriptors, \(before) before")
    return 0
  }
}
