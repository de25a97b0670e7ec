// Fuzzes what a vhost-user back end answers: whatever it says, the device goes on or needs a reset in bounded time, and nothing that came
// with an answer stays open.
import CFuzzer
import FuzzSupport
import Glibc
import GuestMemory
import HostOS
import Logging
import RemoteDevice
import Synchronization
import Virtio

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
nonisolated(unsafe) let never = try EventFD()

final class NoInterrupts: VirtioInterrupts {
  func signalQueue(_ index: Int) {}
  func signalConfigurationChange() {}
  func reset() {}
}

/// Words as they are on the wire.
func words(_ list: [UInt64], of count: Int) -> [UInt8] {
  list.flatMap { word in (0..<count).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) } }
}

/// A back end on a thread of its own, for one input.
final class BackEnd: Sendable {
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

  private func answer(_ socket: Int32) -> Bool {
    guard let header = receive(socket, 12) else { return false }
    let (request, flags) = (UInt32(header[0]), header[4])
    guard let payload = receive(socket, Int(header[8]) | Int(header[9]) << 8) else { return false }
    var numbers: [Int32] = []
    var body: [UInt8]
    switch request {
    case 1: body = words([1 << 32 | 1 << 34 | 1 << 30 | 3 << 28 | 0x3F_FFFF], of: 8)
    case 15: body = words([0x21_322B], of: 8)
    case 17: body = words([4], of: 8)
    case 11: body = payload
    case 24:
      body = payload
      if body.count > 47 { body[46] = 2 }
    case 31:
      body = words([4096, 0], of: 8) + payload.dropFirst(16)
      numbers = [memory.file.borrow { $0.rawValue } ?? 0]
    default:
      guard flags & 8 != 0 else { return true }
      body = words([0], of: 8)
    }
    var head = words([UInt64(request), 5, UInt64(body.count)], of: 4)
    // Three in four answers are good ones.
    guard let kind = answers.next, kind & 3 == 0 else { return send(socket, head + body, numbers) }
    let value = answers.next ?? 0
    switch kind >> 2 & 7 {
    case 0: head[Int(value % 12)] ^= kind
    case 1: if !body.isEmpty { body[Int(value) % body.count] ^= answers.next ?? 1 }
    case 2: body = (0..<body.count).map { _ in answers.next ?? 0 }
    case 3: numbers = Array(repeating: event.rawValue, count: Int(value % 33))
    case 4: body += [value]
    case 5: return send(socket, Array((head + body).prefix(Int(value))), []) && false
    case 6: return false
    default:
      head = words([UInt64(request), 5, UInt64(value)], of: 4)
      body = (0..<Int(value)).map { _ in answers.next ?? 0 }
    }
    return send(socket, head + body, numbers)
  }

  private func send(_ socket: Int32, _ bytes: [UInt8], _ numbers: [Int32]) -> Bool {
    ((try? SocketIO.send(socket, bytes[...], descriptors: numbers)) ?? 0) > 0
  }
}

/// Uses the device as a driver does.
func use(_ kind: VhostUserKind, _ choices: UInt8) throws {
  let logger = Logger(label: "fuzz") { _ in SwiftLogNoOpLogHandler() }
  var options = VhostUserRemote.Options(kind, path: path, name: "fuzz", queueLimit: 2)
  options.patience = 1
  let device = try VhostUserRemote(options, logger: logger)
  let controller = try VirtioDeviceController(
    device,
    memory: memory,
    interrupts: NoInterrupts(),
    logger: logger
  )
  for round in 0..<2 {
    controller.writeStatus(3)
    controller.driverFeatureSelect = 0
    controller.deviceFeatureSelect = 0
    controller.driverFeatures = controller.deviceFeatures
    controller.deviceFeatureSelect = 1
    controller.driverFeatureSelect = 1
    let high = controller.deviceFeatures
    controller.driverFeatures = choices & 1 == 0 ? high & ~4 : high
    controller.writeStatus(11)
    for index in 0..<controller.queueCount {
      controller.queueSelect = UInt16(index)
      controller.queueSize = 16
      let base = UInt64(index + 1) << 14
      controller.setQueueAddress(.descriptors, to: base)
      controller.setQueueAddress(.available, to: base + 0x1000)
      controller.setQueueAddress(.used, to: base + 0x2000)
      controller.enableQueue()
    }
    controller.writeStatus(15)
    controller.notify(0)
    controller.writeConfiguration(UInt64(choices), offset: kind == .block ? 32 : 8, width: 1)
    _ = controller.readConfiguration(offset: 0, width: 8)
    if round == 0 || choices & 2 == 0 { controller.writeStatus(0) }
  }
}

func run(_ bytes: [UInt8]) throws {
  guard bytes.count > 2 else { return }
  let kind = VhostUserKind.allCases[Int(bytes[0]) % VhostUserKind.allCases.count]
  let backEnd = try BackEnd(Answers(Array(bytes[2...])))
  let thread = try HostOS.Thread("back end") {
    guard let listener = try? UnixListener(path: path, backlog: 8) else { return }
    event.signal()
    backEnd.run(listener)
  }
  event.wait()
  event.drain()
  // What the back end did wrong is thrown or logged.
  try? use(kind, bytes[1])
  backEnd.stop.signal()
  thread.join()
}

runFuzzer { count, arguments in
  LLVMFuzzerRunDriver(count, arguments) { data, size in
    let before = countOpen()
    try? run(Array(UnsafeBufferPointer(start: data, count: size)))
    precondition(countOpen() == before, "\(countOpen()) descriptors, \(before) before")
    return 0
  }
}
