// Fuzzes the message stream of a vfio-user client: whatever it says, the server ends the session in bounded time, and nothing that
// came with it stays open.
import CFuzzer
import DeviceModel
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
nonisolated(unsafe) let events = try (0..<4).map { _ in try EventFD() }
nonisolated(unsafe) let never = try EventFD()
nonisolated(unsafe) let other = try SocketPair()
nonisolated(unsafe) let server = try VfioUserServer(
  Block(try makeDisk(), name: "disk", options: Block.Options(queueCount: 2)),
  logger: Logger(label: "fuzz") { _ in SwiftLogNoOpLogHandler() }
)

/// The state of such a disk before any driver.
nonisolated(unsafe) let savedState = try PCITransport(
  Block(try makeDisk(), name: "disk", options: Block.Options(queueCount: 2)),
  memory: memory,
  line: NoLine(),
  messages: HostedMessages(),
  doorbells: HostedDoorbells(),
  logger: Logger(label: "fuzz") { _ in SwiftLogNoOpLogHandler() }
).savedState.bytes

/// A pin that is wired to nothing.
final class NoLine: InterruptLine {
  func assert() {}
  func deassert() {}
}

/// Words as they are on the wire.
func words(_ list: [UInt64], of count: Int) -> [UInt8] {
  list.flatMap { word in (0..<count).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) } }
}

/// A greeting that is one, or not.
func greeting(_ script: inout Script) -> [UInt8] {
  let texts = [
    #"{"capabilities":{"max_msg_fds":8,"max_data_xfer_size":65536}}"#,
    #"{"capabilities":{"twin_socket":{"supported":true},"max_msg_fds":1}}"#,
    #"{"capabilities":{"max_data_xfer_size":1}}"#, "{}", "[1,2",
  ]
  let choice = Int(script.byte())
  return words([0, choice >> 7 == 0 ? 0 : 1], of: 2)
    + Array(texts[(choice & 63) % texts.count].utf8)
    + [0]
}

/// Where in which region, and how many bytes.
func access(_ script: inout Script) -> (place: [UInt8], count: Int) {
  let choice = UInt64(script.byte())
  let region: UInt64 = choice & 3 == 3 ? choice >> 4 : choice & 1 == 0 ? 0 : 7
  let offset = UInt64(script.byte()) | UInt64(script.byte() & 0x47) << 8
  let count = [1, 2, 4, 8][Int(choice >> 2 & 3)]
  return (words([offset], of: 8) + words([region, UInt64(count)], of: 4), count)
}

/// What a driver writes to a register: mostly where a queue is, and that it is there.
func value(_ count: Int, _ script: inout Script) -> [UInt8] {
  let choice = script.byte()
  let word = choice & 3 == 0 ? UInt64(script.byte()) << 12 : UInt64(choice >> 2)
  return words([word], of: count)
}

func payload(_ command: UInt16, _ script: inout Script) -> [UInt8] {
  let choice = UInt64(script.byte())
  switch command {
  case 1: return greeting(&script)
  case 2:
    let page = choice & 63
    let count = UInt64(script.byte() & 63) + 1
    return words([32, choice >> 6 == 3 ? 1 : 3], of: 4)
      + words([page, page, count].map { $0 << 12 }, of: 8)
  case 3:
    return words([24, choice >> 6], of: 4)
      + words([(choice & 63) << 12, UInt64(script.byte()) << 12], of: 8)
  case 4, 7: return words([16, 0, choice & 7, 0], of: 4)
  case 5: return words([32, 0, choice & 15, 0], of: 4) + words([0, 0], of: 8)
  case 6: return words([choice, 0, choice >> 7, 0], of: 4)
  case 8:
    let flags = [0x24, 0x21, 0x22, 0x09, 0x11, 0x14, 0x12, 0x3F][Int(choice & 7)] as UInt64
    let count = choice >> 6
    let data = flags & 2 == 0 ? [] : [UInt8](repeating: 1, count: Int(count))
    return words([20, flags, choice >> 3 & 3, UInt64(script.byte() & 3), count], of: 4) + data
  case 9: return access(&script).place
  case 10:
    let (place, count) = access(&script)
    return place + value(count, &script)
  case 15:
    let count = Int(choice & 3)
    return words([UInt64(count)], of: 8)
      + (0..<count).flatMap { _ in access(&script).place + value(8, &script) }
  case 16:
    // Probed, read or set: which state, mostly one that there is.
    let action = [0x4_0000, 0x1_0000, 0x2_0000, 0x3_0000][Int(choice >> 6)] as UInt64
    let number = choice & 7 == 7 ? choice >> 3 & 7 : choice & 7 == 6 ? 1 : 2
    let data = choice >> 6 == 2 ? words([UInt64(script.byte() & 7), 0], of: 4) : []
    return words([16, action | number], of: 4) + data
  case 17: return words([choice == 0 ? 7 : 0x10_0008, choice << 4], of: 4)
  case 18:
    // What was saved last, whole or changed, or something else.
    var data = choice & 1 == 0 ? savedState : (0..<choice).map { _ in script.byte() }
    if choice & 6 == 2, !data.isEmpty {
      let place = Int(script.byte()) | Int(script.byte()) << 8
      data[place % data.count] ^= script.byte()
    }
    if choice & 6 == 4 { data = Array(data.prefix(Int(script.byte()) << 2)) }
    return words([UInt64(data.count + 8), UInt64(data.count)], of: 4) + data
  default: return []
  }
}

func descriptorCount(_ command: UInt16, _ payload: [UInt8]) -> Int {
  switch command {
  case 2: payload.count > 4 && payload[4] == 3 ? 1 : 0
  case 8: payload.count > 16 && payload[4] & 4 != 0 ? Int(payload[16]) : 0
  default: 0
  }
}

func run(_ bytes: UnsafeBufferPointer<UInt8>) throws {
  var script = Script(bytes)
  let pair = try SocketPair()
  let numbers =
    [memory.file.borrow { $0.rawValue } ?? 0] + events.map(\.rawValue) + [other.near.rawValue]
  if script.byte() & 7 != 0 {
    let text = words([0], of: 4) + Array(#"{"capabilities":{"max_msg_fds":8}}"#.utf8) + [0]
    let header = words([0, 1], of: 2) + words([UInt64(text.count + 16), 0, 0], of: 4)
    _ = try SocketIO.send(pair.near.rawValue, (header + text)[...])
  }
  while !script.isAtEnd {
    let command = UInt16(script.byte() & 31)
    var body = payload(command, &script)
    let shape = script.byte()
    if shape & 0x1F == 0 { body.append(0) }
    let flags: UInt64 = shape >> 5 == 7 ? 1 : shape & 0x20 == 0 ? 0 : 0x10
    let header =
      words([UInt64(shape), UInt64(command)], of: 2)
      + words([UInt64(body.count + 16), flags, 0], of: 4)
    let kind = Int(script.byte())
    let count = descriptorCount(command, body) + (kind >> 5 == 7 ? 1 : 0)
    let usual = command == 2 ? 0 : 1
    let first = kind >> 4 & 1 == 0 ? usual : kind % numbers.count
    let sent = [Int32](repeating: numbers[first], count: min(count, 32))
    guard try SocketIO.send(pair.near.rawValue, (header + body)[...], descriptors: sent) > 0
    else { break }
    if shape & 0x40 != 0 { events[Int(shape & 3)].signal() }
  }
  shutdown(pair.near.rawValue, Int32(SHUT_WR))
  try server.run(.connection(try pair.far.duplicated()), until: never.rawValue)
}

// What the server makes once and keeps is there before anything is counted.
[UInt8]([1, 13, 0, 1, 0]).withUnsafeBufferPointer { try? run($0) }
runFuzzer { count, arguments in
  LLVMFuzzerRunDriver(count, arguments) { data, size in
    let before = countOpen()
    // What the client did wrong is logged; anything thrown is the host's.
    try? run(UnsafeBufferPointer(start: data, count: size))
    precondition(countOpen() == before, "\(countOpen()) descriptors, \(before) before")
    return 0
  }
}
