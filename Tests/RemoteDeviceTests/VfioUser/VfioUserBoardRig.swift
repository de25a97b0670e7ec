import GuestMemory
import HostOS
import PCI
import RemoteDevice
import TestSupport

/// A board with one function that a server has.
final class VfioUserBoardRig {
  static let address = PCIAddress(device: 3)
  static let bar0: UInt64 = 0xE000_0000
  static let bar2: UInt64 = 0x80_0000_0000

  let memory: GuestMemory
  let log = RecordedLog()
  let line = RecordingResampledLine()
  let messages = FakeMessageInterrupts()
  let doorbells = FakeDoorbells()
  let space = FakePCIAddressSpace()
  let mapper = FakeMapper()
  let bus: PCIRootBus
  let remote: VfioUserRemote
  let function: any RemotePCIFunction

  /// Puts the function of the server at `path` on a bus.
  init(at path: String, patience: Int = 5) throws {
    memory = try GuestMemory([(GuestAddress(0), 1 << 20), (GuestAddress(1 << 32), 1 << 20)])
    var options = VfioUserRemote.Options(path: path, name: "remote")
    options.patience = patience
    remote = try VfioUserRemote(options, logger: log.makeLogger())
    function = try remote.makeFunction(
      RemoteWiring(
        memory: memory,
        line: line,
        messages: messages,
        doorbells: doorbells,
        mapper: mapper
      )
    )
    bus = PCIRootBus(in: space)
    var allocator = PCIResourceAllocator(
      memory32: PCIWindow(base: Self.bar0, size: 1 << 24),
      memory64: PCIWindow(base: Self.bar2, size: 1 << 32)
    )
    try allocator.assign(to: function)
    try bus.add(function, at: Self.address)
  }

  deinit { function.stop() }

  func register(_ offset: Int, width: Int = 4) -> UInt64 {
    bus.read(Self.address, offset, width: width)
  }

  func setRegister(_ offset: Int, _ value: UInt64, width: Int = 4) {
    bus.write(value, Self.address, offset, width: width)
  }

  /// Enables memory, and the function's own access to memory.
  func enable() { setRegister(4, 0b110, width: 2) }

  /// Waits until the log has a line that contains `text`.
  func waitForLine(_ text: String) -> Bool {
    waitUntil { log.notices.contains { $0.contains(text) } }
  }
}
