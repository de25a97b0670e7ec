import CDiskPeer
import GuestMemory
import HostOS
import Logging
import Virtio

/// A disk with a driver that keeps a number of requests under way.
@safe
final class Rig {
  /// Who interrupts whom.
  final class Interrupts: VirtioInterrupts {
    let event: EventFD

    init() throws(SystemError) { event = try EventFD() }
    func signalQueue(_ index: Int) { event.signal() }
    func signalConfigurationChange() {}
    func reset() {}
  }

  private static let size: UInt16 = 256 * 4
  private let memory: GuestMemory
  private let block: Block
  private let activation: VirtioActivation
  private let configuration: VirtqueueConfiguration
  private let interrupts: Interrupts
  private var driver: disk_driver

  init(_ block: Block, byteCount: UInt64, depth: Int, count: Int, isWrite: Bool) throws {
    self.block = block
    memory = try GuestMemory(count: 256 << 20)
    interrupts = try Interrupts()
    let (descriptors, available, used) = (UInt64(0x10000), UInt64(0x20000), UInt64(0x30000))
    configuration = VirtqueueConfiguration(
      index: 0,
      size: Self.size,
      descriptorTable: GuestAddress(descriptors),
      availableRing: GuestAddress(available),
      usedRing: GuestAddress(used),
      features: [.version1],
      kick: try EventFD()
    )
    let signals = VirtioSignals(
      "disk",
      interrupts: interrupts,
      logger: Logger(label: "disk")
    )
    activation = VirtioActivation(
      features: [.version1, .blockFlush],
      memory: memory,
      queues: [configuration],
      signals: signals
    )
    unsafe driver = disk_driver()
    unsafe driver.memory = UnsafeMutablePointer(
      bitPattern: memory.unsafeHostAddress(of: memory.regions[0])
    )
    unsafe driver.descriptors = descriptors
    unsafe driver.available = available
    unsafe driver.used = used
    unsafe driver.data = 0x100000
    unsafe driver.size = UInt32(Self.size)
    unsafe driver.depth = UInt32(depth)
    unsafe driver.count = UInt32(count)
    unsafe driver.blocks = byteCount / UInt64(count)
    unsafe driver.is_write = isWrite ? 1 : 0
    unsafe disk_driver_init(&driver)
  }

  /// Requests a second with the driver and the device on one thread, which asks for nothing.
  func measureService(seconds: Double) throws -> Double {
    let service = block.makeService(activation)
    let poller = try Poller()
    if let completions = service.completions { try poller.add(completions, token: 1) }
    var queue = try Virtqueue(configuration, in: memory)
    unsafe disk_driver_start(&driver)
    var done = 0
    let start = now()
    var time = 0.0
    var turn = 0
    while true {
      let outcome = try service.serve(&queue)
      queue.publish()
      let count = Int(unsafe disk_driver_turn(&driver))
      precondition(count >= 0, "a request failed")
      done += count
      if count == 0, case .busy = outcome { continue }
      if count == 0 { try poller.wait(timeout: 1000) { _ in } }
      turn += 1
      if turn % 8 == 0 {
        time = now() - start
        if time >= seconds { break }
      }
    }
    service.finish(&queue)
    return Double(done) / time
  }

  /// Requests a second with the device on a thread of its own, and a driver that sleeps.
  func measureDevice(seconds: Double) throws -> Double {
    try block.activate(activation)
    defer { block.reset() }
    unsafe disk_driver_start(&driver)
    configuration.kick.signal()
    var done = 0
    let start = now()
    var time = 0.0
    var turn = 0
    while true {
      unsafe disk_driver_disarm(&driver)
      while true {
        let count = Int(unsafe disk_driver_turn(&driver))
        precondition(count >= 0, "a request failed")
        done += count
        if count > 0, unsafe disk_driver_needs_kick(&driver) != 0 { configuration.kick.signal() }
        if count == 0 { break }
      }
      if unsafe disk_driver_arm(&driver) == 0 {
        interrupts.event.wait()
        interrupts.event.drain()
      }
      turn += 1
      if turn % 8 == 0 {
        time = now() - start
        if time >= seconds { break }
      }
    }
    return Double(done) / time
  }
}
