// Fuzzes what `apus replay` reads: a recording is listed and replayed to a device that answers as it likes. Both end in bounded time,
// with one line if something is wrong, and nothing stays open.
import CFuzzer
import FuzzSupport
import Glibc
import HostOS
import RemoteDevice

/// A number as it is in the file.
func little(_ value: UInt64, _ count: Int) -> [UInt8] {
  (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) }
}

/// What a message of a protocol begins with, and what follows it.
func message(_ spoken: UInt8, _ script: inout Script) -> [UInt8] {
  let command = UInt64(script.byte() & 31)
  let shape = script.byte()
  let body = [UInt8](repeating: script.byte(), count: Int(shape & 31))
  // Mostly the length that it has.
  let count = UInt64(body.count) &+ (shape >> 5 == 7 ? script.word64() : 0)
  switch spoken {
  case 1:
    return little(UInt64(script.byte() & 3), 2) + little(command, 2) + little(count &+ 16, 4)
      + little(UInt64(shape >> 5 & 1), 4) + little(0, 4) + body
  case 2: return little(command, 4) + little(0, 4) + little(count, 8) + body
  default:
    return little(command, 4) + little(shape & 0x20 == 0 ? 1 : 5, 4) + little(count, 4) + body
  }
}

/// A recording that is one, or nearly; and what the device says meanwhile.
func recording(_ script: inout Script) -> (file: [UInt8], said: [UInt8]) {
  let choice = script.byte()
  var file = Array("apusmsgs".utf8) + little(choice == 255 ? 2 : 1, 4) + little(0, 4) + little(7, 8)
  var said: [UInt8] = []
  var protocols: [UInt8: UInt8] = [:]
  var time: UInt64 = 0
  while !script.isAtEnd {
    let kind = script.byte()
    let number = script.byte() & 3
    var record: [UInt8]
    time &+= UInt64(kind >> 6) << 10
    switch kind & 7 {
    case 0:
      let spoken = script.byte() & 3
      protocols[number] = spoken
      record = [1] + little(UInt64(number), 4) + [spoken, 1, 0x61]
    case 1:
      record = [3] + little(UInt64(number), 4) + little(time, 8) + [script.byte() & 3]
    case 2:
      // Whatever is there.
      record = (0..<Int(script.byte() & 31)).map { _ in script.byte() }
    default:
      let flags = script.byte()
      let count = Int(flags >> 2 & 3) + (flags == 0xFF ? 200 : 0)
      record = [2] + little(UInt64(number), 4) + little(time, 8) + [flags & 3, UInt8(count)]
      for _ in 0..<count {
        let kind = script.byte()
        let size = kind & 0x80 == 0 ? UInt64(kind) << 8 : script.word64()
        record += [kind & 7] + little(size, 8)
      }
      let bytes = message(protocols[number] ?? 1, &script)
      record += bytes
      // The device says what was recorded, or something like it.
      if flags & 2 != 0, said.count < 1 << 16 {
        said += bytes
        if flags & 0x40 != 0 { said[said.count - 1] ^= script.byte() }
      }
    }
    let wrong = script.byte()
    file += little(UInt64(record.count) &+ (wrong == 255 ? script.word64() : 0), 4) + record
  }
  if choice & 0x80 != 0, choice != 255 { file.removeLast(min(file.count, Int(choice & 31))) }
  return (file, said)
}

func makeFile(_ bytes: [UInt8]) throws -> OwnedFileDescriptor {
  var name = Array("/dev/shm/apus-fuzz-XXXXXX".utf8CString)
  let number = mkstemp(&name)
  precondition(number >= 0, "no temporary file")
  unlink(name)
  let file = OwnedFileDescriptor(adopting: number)
  try FileIO.writeAll(number, bytes)
  lseek(number, 0, SEEK_SET)
  return file
}

/// Has `body` end as it should: with what a user is told in one line, or without anything wrong.
func attempt(_ body: () throws -> Void) {
  do {
    try body()
  } catch {
    require(error is RecordingError || error is Replay.Difference, "another error: \(error)")
    require(!"\(error)".contains(where: \.isNewline), "more than a line: \(error)")
  }
}

func run(_ bytes: UnsafeBufferPointer<UInt8>) throws {
  var script = Script(bytes)
  let isRaw = script.byte() == 0
  let (file, said): ([UInt8], [UInt8]) =
    isRaw ? (Array(bytes.dropFirst()), []) : recording(&script)
  attempt {
    var reader = try RecordingReader(try makeFile(file))
    while try reader.next() != nil {}
  }
  for number in [nil, 1, 2] as [UInt32?] {
    var options = Replay.Options()
    options.patience = 0
    let pair = try SocketPair()
    _ = try SocketIO.send(pair.far.rawValue, said[...])
    attempt {
      var reader = try RecordingReader(try makeFile(file))
      let connection = try Replay.find(number, in: &reader)
      _ = try Replay.run(connection, from: &reader, to: try pair.near.duplicated(), options)
    }
  }
}

// What is made once and kept is there before anything is counted.
[UInt8]([1, 0]).withUnsafeBufferPointer { try? run($0) }
runFuzzer { count, arguments in
  LLVMFuzzerRunDriver(count, arguments) { data, size in
    let before = countOpen()
    do {
      try run(UnsafeBufferPointer(start: data, count: size))
    } catch {
      fail("the host: \(error)")
    }
    require(countOpen() == before, "\(countOpen()) descriptors, \(before) before")
    return 0
  }
}
