// Fuzzes what a vfio-user server says: whatever it is, the function answers in bounded time, and nothing that came with
// a message stays open.
import CFuzzer
import DeviceModel
import FuzzSupport
import Glibc
import GuestMemory
import HostOS
import Logging
import PCI
import RemoteDevice
import Synchronization

/// What the answers of all connections of one input are made of; good ones, once it is used up.
final class Answers: Sendable {
  private let bytes: Mutex<(bytes: [UInt8], place: Int)>

  init(_ bytes: [UInt8]) { self.bytes = Mutex((bytes, 0)) }

  var next: UInt8? {
    bytes.withLock { state in
      guard state.place < state.bytes.count else { return nil }
      defer { state.place += 1 }
      return state.bytes[state.place]
    }
  }
}

nonisolated(unsafe) let path = "/tmp/apus-fuzz-\(getpid())"
nonisolated(unsafe) let memory = try GuestMemory(count: 256 << 10)
nonisolated(unsafe) let event = try EventFD()

final class Interrupt: MessageInterrupt {
  let trigger: EventFD
  init() throws { trigger = try EventFD() }
  func route(to message: InterruptMessage?) {}
}

/// A board that only counts.
final class Board: MessageInterruptAllocator, DoorbellRegistry, ResampledLine, MemoryMapper {
  func makeMessageInterrupt() throws -> any MessageInterrupt { try Interrupt() }
  func attach(_ doorbell: Doorbell, to event: EventFD) {}
  func detach(_ doorbell: Doorbell, from event: EventFD) {}
  func connect(_ event: EventFD, resample: EventFD) {}
  func disconnect() {}
  func map(_ range: Range<UInt64>, of memory: GuestMemory, at address: UInt64) -> UInt32 {
    // What the guest reaches is there.
    _ = try? memory.read(at: GuestAddress(range.upperBound - 1), count: 1)
    return 0
  }
  func unmap(_ number: UInt32) {}
}

/// Words as they are on the wire.
func words(_ list: [UInt64], of count: Int) -> [UInt8] {
  list.flatMap { word in (0..<count).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) } }
}

/// A server on a thread of its own, for one input.
final class Server: Sendable {
  private let answers: Answers
  let stop: EventFD

  init(_ answers: Answers) throws {
    self.answers = answers
    stop = try EventFD()
  }

  func run(_ listener: borrowing UnixListener) {
    while wait(for: listener.rawValue) {
      guard let socket = listener.accept() else { continue }
      while answer(socket.rawValue) {}
    }
  }

  /// Whether the descriptor is ready, before the end.
  private func wait(for number: Int32) -> Bool {
    var list = PollList()
    let end = list.add(stop.rawValue, for: .readable)
    _ = list.add(number, for: .readable)
    list.wait()
    return !list.isReady(end)
  }

  private func receive(_ socket: Int32, _ count: Int) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: max(count, 1))
    var done = 0
    var batch = DescriptorBatch()
    while done < count {
      guard wait(for: socket),
        let received = try? SocketIO.receive(
          socket,
          into: &bytes,
          from: done,
          count: count - done,
          &batch
        )
      else { return nil }
      switch received {
      case .bytes(let size): done += size
      case .nothing: continue
      case .end, .tooManyDescriptors: return nil
      }
    }
    return Array(bytes.prefix(count))
  }

  /// A function with a BAR that is memory, one with the table of MSI-X, and a pin (PCI 3.0, 6.1).
  private static let registers: [UInt8] = {
    var bytes = [UInt8](repeating: 0, count: 256)
    bytes.replaceSubrange(0..<12, with: [0x34, 0x12, 0x78, 0x56, 0, 0, 0x10, 0, 7, 0, 0, 0xFF])
    bytes[0x18] = 0x0C
    bytes[0x34] = 0x40
    bytes[0x3D] = 1
    bytes.replaceSubrange(0x40..<0x4C, with: [0x11, 0, 2, 0, 2, 0, 0, 0, 2, 8, 0, 0])
    return bytes
  }()

  /// The payload of a good answer.
  private func body(_ command: UInt8, _ payload: [UInt8]) -> (bytes: [UInt8], hasEvent: Bool) {
    let index = payload.count > 8 ? payload[8] : 0
    switch command {
    case 1:
      return (words([0], of: 4) + Array("{\"capabilities\":{\"max_msg_fds\":8}}\0".utf8), false)
    case 3: return (payload, false)
    case 4: return (words([16, 3, 9, 5], of: 4), false)
    case 5 where index == 0 && payload.count > 0 && payload[0] != 32:
      // Two areas to map.
      let info = words([80, 15, 0, 32], of: 4) + words([4096 * 4, 0], of: 8)
      let areas = words([0, 4096, 8192, 4096], of: 8)
      return (info + words([1 | 1 << 16, 0, 2, 0], of: 4) + areas, true)
    case 5:
      let size: UInt64 = index == 7 ? 4096 : index == 0 ? 4096 * 4 : index == 2 ? 0x4000 : 0
      return (words([32, 3, UInt64(index), 0], of: 4) + words([size, 0], of: 8), false)
    case 6:
      guard index == 0 else { return (words([16, 0, UInt64(index), 0], of: 4), false) }
      return (words([56, 0, 0, 1, 256, 0, 2, 0, 0, 0, 0, 0, 0, 0], of: 4), true)
    case 7: return (words([16, 1, UInt64(index), 3], of: 4), false)
    case 9:
      let count = payload.count >= 16 ? Int(payload[12]) | Int(payload[13]) << 8 : 0
      let start = payload.isEmpty ? 0 : Int(payload[0])
      let data = (0..<count).map { Self.registers[(start + $0) & 0xFF] }
      return (Array(payload.prefix(16)) + data, false)
    case 10: return (Array(payload.prefix(16)), false)
    case 16:
      guard payload.count >= 8 else { return ([], false) }
      return (Array(payload.prefix(8)) + words([payload[4] == 1 ? 1 : 0, 0], of: 4), false)
    case 17: return (words([24, 16], of: 4) + [UInt8](repeating: 7, count: 16), false)
    default: return ([], false)
    }
  }

  private func answer(_ socket: Int32) -> Bool {
    guard let header = receive(socket, 16) else { return false }
    let size = Int(header[4]) | Int(header[5]) << 8
    guard size >= 16, let payload = receive(socket, size - 16) else { return false }
    guard header[8] & 0x10 == 0 else { return true }
    var (body, hasEvent) = body(header[2], payload)
    var numbers = hasEvent ? [event.rawValue] : []
    if header[2] == 5, hasEvent { numbers = [memory.file.borrow { $0.rawValue } ?? 0] }
    func head(_ flags: UInt64 = 1, _ error: UInt64 = 0) -> [UInt8] {
      Array(header.prefix(4)) + words([UInt64(16 + body.count), flags, error], of: 4)
    }
    // Three in four answers are good ones.
    guard let kind = answers.next, kind & 3 == 0 else {
      return send(socket, head() + body, numbers)
    }
    let value = answers.next ?? 0
    switch kind >> 2 & 15 {
    case 0, 1:
      var start = head()
      start[Int(value & 15)] ^= kind
      return send(socket, start + body, numbers)
    case 2, 3, 4: if !body.isEmpty { body[Int(value) % body.count] ^= answers.next ?? 1 }
    case 5: body = (0..<body.count).map { _ in answers.next ?? 0 }
    case 6: numbers = Array(repeating: event.rawValue, count: Int(value % 40))
    case 7: body += [value]
    case 8: return send(socket, Array((head() + body).prefix(Int(value))), []) && false
    case 9: return false
    case 10: body = []; return send(socket, head(0x21, UInt64(value)), [])
    case 11:
      // A request of its own first: memory that it reads, anywhere.
      let place = (0..<8).map { _ in answers.next ?? 0 }
      let request = words([UInt64(value) | 11 << 16, 32, 0, 0], of: 4) + place
      return send(socket, request + words([UInt64(value)], of: 8), [])
        && send(socket, head() + body, numbers)
    case 12:
      let data = (0..<Int(value)).map { _ in answers.next ?? 0 }
      let request = words([12 << 16, UInt64(32 + data.count), 0, 0], of: 4)
      return send(
        socket,
        request + words([UInt64(kind) << 8, UInt64(data.count)], of: 8) + data,
        []
      ) && send(socket, head() + body, numbers)
    case 13: return send(socket, head() + body + head() + body, numbers)
    case 14:
      if header[2] == 1 {
        let text = (0..<Int(value)).map { _ in answers.next ?? 0 }
        body = words([0], of: 4) + text + [0]
      }
    default:
      body = (0..<Int(value)).map { _ in answers.next ?? 0 }
    }
    return send(socket, head() + body, numbers)
  }

  private func send(_ socket: Int32, _ bytes: [UInt8], _ numbers: [Int32]) -> Bool {
    ((try? SocketIO.send(socket, bytes[...], descriptors: numbers)) ?? 0) > 0
  }
}

/// Uses the function as a guest does.
func use(_ choices: UInt8) throws {
  let logger = Logger(label: "fuzz") { _ in SwiftLogNoOpLogHandler() }
  var options = VfioUserRemote.Options(path: path, name: "fuzz")
  options.patience = 1
  let board = Board()
  let remote = try VfioUserRemote(options, logger: logger)
  let function = try remote.makeFunction(
    RemoteWiring(memory: memory, line: board, messages: board, doorbells: board, mapper: board)
  )
  function.writeConfiguration(6, 4, width: 2)
  function.barDidMove(0, to: 0x1000)
  for offset in [0, 4, 0x34, 0x40, 0x100, 0xFFC] {
    _ = function.readConfiguration(offset, width: 4)
  }
  function.writeBAR(1, BusAccess(region: 0, offset: 8, width: 4))
  _ = function.readBAR(BusAccess(region: 0, offset: 8, width: 8))
  function.writeConfiguration(choices & 1 == 0 ? 0x8000 : 0, 0x42, width: 2)
  if choices & 2 != 0 { function.reset() }
  _ = function.readBAR(BusAccess(region: 2, offset: 0x2000, width: 1))
  if choices & 4 != 0, (try? remote.offersMigration()) == true,
    let saved = function as? any SavedPCIFunction
  {
    saved.pause()
    if let state = try? saved.saveState(), choices & 8 != 0 { try? saved.restoreState(state) }
    saved.resume()
    saved.signalRestart()
  }
  function.barDidMove(0, to: nil)
  function.stop()
}

func run(_ bytes: [UInt8]) throws {
  guard bytes.count > 1 else { return }
  let server = try Server(Answers(Array(bytes[1...])))
  let ready = try EventFD()
  let thread = try HostOS.Thread("server") {
    guard let listener = try? UnixListener(path: path, backlog: 8) else { return }
    ready.signal()
    server.run(listener)
  }
  ready.wait()
  // What the server did wrong is thrown or logged.
  try? use(bytes[0])
  server.stop.signal()
  thread.join()
}

runFuzzer { count, arguments in
  LLVMFuzzerRunDriver(count, arguments) { data, size in
    let before = countOpen()
    try? run(Array(UnsafeBufferPointer(start: data, count: size)))
    // The last thread may be on its way out.
    for _ in 0..<2000 where countOpen() != before { usleep(1000) }
    precondition(countOpen() == before, "\(countOpen()) descriptors, \(before) before")
    return 0
  }
}
