// Fuzzes what a remote of the multi-process protocol answers to its proxy: whatever it says, the guest's accesses end in bounded time,
// none of them is one that a QEMU remote ends for, and nothing stays open.
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

nonisolated(unsafe) let path = "/tmp/apus-fuzz-\(getpid())"
nonisolated(unsafe) let memory = try GuestMemory(count: 256 << 10)
nonisolated(unsafe) let event = try EventFD()

/// The registers of a device with a BAR, as its answers are if the input says nothing else.
struct Registers {
  private var bytes = [UInt8](repeating: 0, count: 256)

  init() {
    (bytes[0], bytes[1], bytes[2], bytes[0x3D]) = (0xF4, 0x1A, 0x42, 1)
  }

  func word(_ offset: Int) -> UInt64 {
    (0..<4).reduce(0) { $0 | UInt64(offset + $1 < 256 ? bytes[offset + $1] : 0) << UInt64(8 * $1) }
  }

  mutating func write(_ value: UInt64, _ offset: Int, _ width: Int) {
    for index in 0..<width where offset + index >= 4 && offset + index < 256 {
      let place = offset + index
      let mask: UInt8 =
        (0x10..<0x28).contains(place) ? (place == 0x12 || place == 0x13 ? 0xFF : 0) : 0xFF
      bytes[place] = UInt8(truncatingIfNeeded: value >> UInt64(8 * index)) & mask
    }
  }
}

/// Answers one connection.
func answer(_ listener: borrowing UnixListener, _ script: [UInt8], _ stop: Int32) {
  var list = PollList()
  let place = list.add(listener.rawValue, for: .readable)
  _ = list.add(stop, for: .readable)
  list.wait()
  guard list.isReady(place), let socket = listener.accept() else { return }
  var rest = script[...]
  var registers = Registers()
  // A proxy that was told of another BAR asks for that.
  var isHonest = true
  while let header = receive(socket.rawValue, 16, stop),
    let body = receive(socket.rawValue, Int(header[8]), stop)
  {
    var value: UInt64 = 0
    switch header[0] {
    case 0, 6: continue
    case 2:
      registers.write(word(body, 4), Int(body[0]), Int(body[8]))
      check(body)
    case 3:
      value = registers.word(Int(body[0])) & .max >> UInt64(64 - 8 * Int(body[8]))
      check(body)
    case 4, 5:
      // Only what is decoded is asked for.
      let start = registers.word(0x10) & 0xFFFF_0000
      let isDecoded = registers.word(4) & 2 != 0 && word(body, 0) &- start < 0x10000
      precondition(isDecoded || !isHonest, "not decoded")
    default: break
    }
    var reply: [UInt8] = [1, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0]
    reply += (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    // Three in four answers are good ones.
    var numbers: [Int32] = []
    if let kind = rest.popFirst(), kind & 3 == 0 {
      isHonest = false
      let byte = rest.popFirst() ?? 0
      switch kind >> 2 & 7 {
      case 0: reply[Int(byte) % reply.count] ^= kind | 1
      case 1: reply[16 + Int(byte & 7)] ^= rest.popFirst() ?? 1
      case 2: reply = Array(reply.prefix(Int(byte) % 24))
      case 3: reply += reply
      case 4: numbers = [event.rawValue]
      case 5: return
      case 6: reply = Array(reply[0..<8]) + [UInt8](repeating: 0, count: 8)
      default: reply = []
      }
    }
    guard
      reply.isEmpty
        || (try? SocketIO.send(socket.rawValue, reply[...], descriptors: numbers)) ?? 0 > 0
    else { return }
  }
}

func word(_ bytes: [UInt8], _ offset: Int) -> UInt64 {
  (0..<8).reduce(0) {
    $0 | UInt64(offset + $1 < bytes.count ? bytes[offset + $1] : 0) << UInt64(8 * $1)
  }
}

/// What ends a QEMU remote.
func check(_ body: [UInt8]) {
  precondition(body.count == 12 && body[0] <= 252 && [1, 2, 4].contains(body[8]), "\(body)")
}

func receive(_ socket: Int32, _ count: Int, _ stop: Int32) -> [UInt8]? {
  var bytes = [UInt8](repeating: 0, count: max(count, 1))
  var done = 0
  var batch = DescriptorBatch()
  while done < count {
    var list = PollList()
    let end = list.add(stop, for: .readable)
    _ = list.add(socket, for: .readable)
    list.wait()
    guard !list.isReady(end),
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

final class NoSpace: PCIAddressSpace {
  func map(_ window: PCIBARWindow, at address: UInt64) {}
  func move(_ window: PCIBARWindow, to address: UInt64) {}
  func unmap(_ window: PCIBARWindow) {}
}

final class Line: ResampledLine {
  func connect(_ event: EventFD, resample: EventFD) {}
  func disconnect() {}
}

/// No messages and no doorbells: the protocol has neither.
final class Nothing: MessageInterruptAllocator, DoorbellRegistry {
  func makeMessageInterrupt() throws -> any MessageInterrupt {
    throw SystemError(call: "interrupt", code: ENOSYS)
  }
  func attach(_ doorbell: Doorbell, to event: EventFD) {}
  func detach(_ doorbell: Doorbell, from event: EventFD) {}
}

/// Has a guest meet a remote of one input.
func drive(_ script: [UInt8]) throws {
  let stop = try EventFD()
  let listener = Mutex<UnixListener?>(try UnixListener(path: path))
  let remote = try Thread("remote") {
    guard let listener = listener.withLock({ $0.take() }) else { return }
    answer(listener, script, stop.rawValue)
  }
  let result = Result { try guest(script) }
  stop.signal()
  remote.join()
  try result.get()
}

/// What a guest does with whatever it finds.
func guest(_ script: [UInt8]) throws {
  let logger = Logger(label: "fuzz") { _ in SwiftLogNoOpLogHandler() }
  let device = try MPQEMUDevice(
    MPQEMURemote(.socket(path), patience: 20, firstPatience: 20),
    name: "remote",
    logger: logger
  )
  let proxy = try device.makeFunction(
    RemoteWiring(memory: memory, line: Line(), messages: Nothing(), doorbells: Nothing())
  )
  defer { proxy.stop() }
  let bus = PCIRootBus(in: NoSpace())
  var allocator = PCIResourceAllocator(
    memory32: PCIWindow(base: 0xC000_0000, size: 0x2000_0000),
    memory64: PCIWindow(base: 1 << 32, size: 1 << 40),
    ports: PCIWindow(base: 0xC000, size: 0x1000)
  )
  try allocator.assign(to: proxy)
  let address = PCIAddress(device: 1)
  try bus.add(proxy, at: address)
  for (index, byte) in script.enumerated() {
    let offset = Int(byte)
    switch index & 7 {
    case 0: bus.write(7, address, 4, width: 2)
    case 1, 2: _ = bus.read(address, offset, width: [1, 2, 4, 8][Int(byte & 3)])
    case 3: bus.write(UInt64(byte) << 24, address, offset, width: [1, 2, 4, 8][Int(byte & 3)])
    case 4:
      for bar in proxy.configuration.bars {
        _ = proxy.readBAR(BusAccess(region: bar.index, offset: UInt64(byte), width: 4))
      }
    case 5: proxy.writeBAR(1, BusAccess(region: Int(byte & 7), offset: UInt64(byte), width: 8))
    case 6: if byte & 15 == 0 { bus.reset() }
    default: bus.write(0, address, 4, width: 2)
    }
  }
}

runFuzzer { count, arguments in
  LLVMFuzzerRunDriver(count, arguments) { data, size in
    let before = countOpen()
    // A remote that is no good is refused; anything else that is thrown is the host's.
    try? drive(Array(UnsafeBufferPointer(start: data, count: size)))
    precondition(countOpen() == before, "\(countOpen()) descriptors, \(before) before")
    return 0
  }
}
