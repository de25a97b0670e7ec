// Fuzzes a network interface, both ways and by its control queue: whatever the driver sends is a frame for
// the network or nothing, and whatever comes is given to the driver once.
import CFuzzer
import FuzzSupport
import Glibc
import GuestMemory
import HostOS
import Virtio

/// A network in the fuzzer's hands: sockets whose messages are frames with a virtio header.
final class ScriptedNetwork: NetBackend {
  let label = "fuzz"
  let features: VirtioFeatures = .netGuestOffloads.union([
    .netChecksum, .netHostTCP4, .netHostTCP6, .netHostECN, .netHostUFO, .netHostUDP,
  ])
  let queuePairCount = 2
  let mtu: UInt16? = 9000
  let isConnected = true
  private let near: [Int32]
  private let far: [Int32]

  init() {
    var (near, far): ([Int32], [Int32]) = ([], [])
    for _ in 0..<2 {
      var numbers: [Int32] = [-1, -1]
      let type = Int32(SOCK_DGRAM.rawValue | SOCK_NONBLOCK.rawValue)
      precondition(socketpair(AF_UNIX, type, 0, &numbers) == 0)
      near.append(numbers[0])
      far.append(numbers[1])
    }
    self.near = near
    self.far = far
  }

  func makePort(_ pair: Int) -> any NetPort { Port(far[pair]) }
  func setGuestOffloads(_ features: VirtioFeatures) {
    require(features.isSubset(of: .netGuestOffloads), "offloads \(features)")
  }
  func setActivePairs(_ count: Int) { require((1...2).contains(count), "\(count) pairs") }

  /// Has a frame come.
  func send(_ header: [UInt8], count: Int, pair: Int) {
    let target: [UInt8] = [0x52, 0x54, 0, 0x12, 0x34, 0x56]
    let frame = header + target + [UInt8](repeating: 0x33, count: max(count, 14) - 6)
    _ = write(near[pair], frame, frame.count)
  }

  /// Takes what was sent; each is a frame.
  func drain() {
    for number in near {
      while let bytes = try? FileIO.read(number, atMost: 70_000) {
        require((26...65_565).contains(bytes.count), "a frame of \(bytes.count) bytes")
      }
    }
  }

  /// Forgets what nobody has taken.
  func clear() {
    drain()
    for number in far { while (try? FileIO.read(number, atMost: 1)) ?? nil != nil {} }
  }

  private final class Port: NetPort {
    private let number: Int32
    let hasHeader = true
    let isConnected = true

    init(_ number: Int32) { self.number = number }

    func receive(into buffers: inout GuestIOVector, overflow: inout [UInt8]) -> NetReceived {
      let count = try? buffers.receive(from: number, overflow: &overflow)
      return count.map { .frame(count: $0) } ?? .mustWait(number)
    }

    func send(_ frame: inout GuestIOVector) -> NetSent {
      do {
        return try frame.send(to: number) == nil ? .mustWait(number) : .sent
      } catch {
        return .dropped(error.reason)
      }
    }
  }
}

/// Hands each queue to the service of its pair.
final class Pairs: QueueService {
  private let services: [any QueueService]
  private let control: Int

  init(_ activation: VirtioActivation) throws {
    services = try (0..<2).map { try net.makeService(activation, pair: $0) }
    control = activation.features.contains(.netMultiQueue) ? 4 : 2
  }

  private func service(_ index: Int) -> any QueueService {
    services[index == control || index > 3 ? 0 : index / 2]
  }

  func serve(_ queue: inout Virtqueue) throws(VirtqueueError) -> QueueOutcome {
    try service(queue.index).serve(&queue)
  }
  func finish(_ queue: inout Virtqueue) { service(queue.index).finish(&queue) }
}

let network = ScriptedNetwork()
let net = try Net(
  network,
  address: MACAddress(0x5254_0012_3456),
  mtu: 9000
)
let frameCounts = [14, 60, 1000, 1514, 9018, 9019, 20_000, 65_549, 65_553]

/// A command, or a frame with its header.
func message(_ script: inout Script, _ queue: Int) -> [UInt8] {
  if queue == 4 || queue == 2 && script.byte() & 1 == 0 {
    let head = script.byte()
    return [head & 7, head >> 4 & 3] + (0..<(script.byte() % 40)).map { _ in script.byte() }
  }
  let header = (0..<12).map { _ in script.byte() }
  return header + [UInt8](repeating: script.byte(), count: Int(script.byte()) * 4)
}

func event(_ script: inout Script) {
  let choice = script.byte()
  switch choice & 7 {
  case 0: net.setLink(up: choice & 8 == 0)
  case 1: net.announce()
  case 2: network.drain()
  case 3: _ = net.readConfiguration(offset: script.word64(), width: Int(script.byte() % 9))
  default:
    let header =
      choice & 8 == 0 ? [UInt8](repeating: 0, count: 12) : (0..<12).map { _ in script.byte() }
    network.send(
      header,
      count: frameCounts[Int(script.byte()) % frameCounts.count],
      pair: Int(choice >> 4 & 1)
    )
  }
}

nonisolated(unsafe) let device = try ScriptedDevice(
  ScriptedDevice.Target(
    queueCount: 5,
    features: net.features,
    makeService: { try Pairs($0) },
    message: message,
    event: { event(&$0) }
  )
)

runFuzzer { count, arguments in
  LLVMFuzzerRunDriver(count, arguments) { data, size in
    var script = Script(UnsafeBufferPointer(start: data, count: size))
    // What the driver did wrong is thrown; anything else ends the process.
    try? device.run(&script)
    net.reset()
    net.setLink(up: true)
    network.clear()
    return 0
  }
}
