import DeviceModel
import GuestMemory
import Logging
import PCI
import TestSupport
import Virtio

/// A function over memory that another one may have used before, with what its interrupts come to.
final class FunctionStateRig {
  let line = RecordingLine()
  let messages = FakeMessageInterrupts()
  let log = RecordedLog()
  let transport: PCITransport

  init(
    _ device: any VirtioDevice,
    in memory: GuestMemory,
    hasMSIX: Bool = true,
    bar: PCIBAR.Kind = .memory64(),
    features: VirtioFeatures = .common
  ) throws {
    transport = try PCITransport(
      device,
      memory: memory,
      line: line,
      messages: hasMSIX ? messages : nil,
      doorbells: nil,
      bar: bar,
      features: features,
      logger: log.makeLogger()
    )
  }

  func read(_ offset: UInt64, width: Int) -> UInt64 {
    transport.readBAR(BusAccess(region: 0, offset: offset, width: width))
  }

  func write(_ value: UInt64, _ offset: UInt64, width: Int) {
    transport.writeBAR(value, BusAccess(region: 0, offset: offset, width: width))
  }

  func configure(_ value: UInt64, _ offset: Int, width: Int) {
    transport.writeRegisters(value, offset, width: width)
    transport.followConfiguration()
  }
}

/// A driver that does not notice that its function has become another one.
final class FunctionStateDriver {
  static let data: UInt64 = 0x80000
  static let answer: UInt64 = 0x90000

  let memory: GuestMemory
  var rig: FunctionStateRig
  private(set) var driver: MockDriver

  init(_ rig: FunctionStateRig, in memory: GuestMemory) {
    self.memory = memory
    self.rig = rig
    let box = Box(rig)
    self.box = box
    driver = MockDriver(
      PCIDriverTransport(
        read: { box.rig.read($0, width: $1) },
        write: { box.rig.write($0, $1, width: $2) }
      ),
      in: memory
    )
  }

  private final class Box {
    var rig: FunctionStateRig
    init(_ rig: FunctionStateRig) { self.rig = rig }
  }

  private let box: Box

  /// Saves the function, restores it as `other` by way of bytes, and goes on with that one.
  func move(to other: FunctionStateRig) throws {
    rig.transport.pause()
    let state = try VirtioFunctionState(bytes: rig.transport.savedState.bytes)
    try other.transport.restore(state)
    use(other)
  }

  /// Goes on with another function.
  func use(_ other: FunctionStateRig) {
    box.rig = other
    rig = other
  }

  /// Has an echo device send `byte` back.
  func offer(_ byte: UInt8, on queue: MockQueue) throws {
    try memory.store8(byte, at: GuestAddress(Self.data))
    try memory.store8(0, at: GuestAddress(Self.answer))
    try queue.add([.readable(Self.data, 1), .writable(Self.answer, 1)])
  }

  func echo(_ byte: UInt8, on queue: MockQueue) throws -> UInt8 {
    try offer(byte, on: queue)
    try driver.kick(0, queue)
    _ = try driver.waitForUsed(queue)
    return try memory.load8(at: GuestAddress(Self.answer))
  }
}
