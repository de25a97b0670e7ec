import DeviceModel
import GuestMemory
import PCI
import Synchronization
import Testing
import TestSupport

/// An author's device as a function on a bus.
@Suite struct PCIDeviceFunctionTests {
  // MSI-X is the only capability, and the first.
  private static let messageControl = 0x42

  private final class Reports: Sendable {
    let lines = Mutex<[String]>([])
  }

  private let memory: GuestMemory
  private let line = RecordingLine()
  private let messages = FakeMessageInterrupts()
  private let reports = Reports()
  private let function: PCIDeviceFunction
  private let bus = PCIRootBus(in: FakePCIAddressSpace())
  private let address = PCIAddress(device: 3)

  init() throws {
    memory = try GuestMemory([(GuestAddress(0), 1 << 20)])
    let reports = reports
    function = try PCIDeviceFunction(
      CopyingDevice.model,
      memory: memory,
      line: line,
      messages: messages
    ) { line in
      reports.lines.withLock { $0.append(line) }
    }
    try bus.add(function, at: address)
  }

  private var device: CopyingDevice? { function.device as? CopyingDevice }

  private func write(_ value: UInt64, _ offset: UInt64, _ width: Int, bar: Int = 0) {
    function.writeBAR(value, BusAccess(region: bar, offset: offset, width: width))
  }

  private func read(_ offset: UInt64, _ width: Int, bar: Int = 0) -> UInt64 {
    function.readBAR(BusAccess(region: bar, offset: offset, width: width))
  }

  private func makeBusMaster() { bus.write(0b110, address, 4, width: 2) }

  @Test func itIsWhatItsProfileSays() {
    #expect(function.name == "copier")
    #expect(bus.read(address, 0, width: 4) == 0x5678_1234)
    #expect(bus.read(address, 8, width: 4) == 0xFF00_0000)
    #expect(function.configuration.interruptPin == .a)
    // The vectors are where no region is.
    #expect(
      function.configuration.bars == [
        PCIBAR(0, .memory32(), size: 64), PCIBAR(2, .memory32(), size: 16),
        PCIBAR(1, .memory32(), size: 4096),
      ]
    )
    #expect(function.msix?.vectorCount == 3)
  }

  @Test func anAccessComesInTheWidthsOfTheRegion() throws {
    write(0x1122_3344_5566_7788, 0, 8)
    #expect(read(0, 4) == 0x5566_7788)
    #expect(read(4, 4) == 0x1122_3344)
    write(0xAABB, 2, 2, bar: 2)
    #expect(read(0, 4, bar: 2) == 0xAAAA_AAAA)
    let accesses = try #require(device).accesses
    #expect(accesses.prefix(3).map(\.width) == [8, 4, 4])
    #expect(accesses.dropFirst(3).map(\.offset) == [2, 3, 0, 1, 2, 3])
    #expect(accesses.dropFirst(3).allSatisfy { $0.width == 1 && $0.region == 2 })
  }

  @Test func aWidthThatTheRegionDoesNotHaveReadsZeroAndWritesNothing() throws {
    write(.max, 0, 8)
    write(0, 0, 2)
    write(0, 2, 4)
    #expect(read(0, 1) == 0)
    #expect(read(6, 2) == 0)
    #expect(read(0, 8) == .max)
    #expect(try #require(device).accesses.count == 2)
  }

  @Test func memoryIsReachedByABusMasterOnly() throws {
    try memory.write([1, 2, 3, 4], at: GuestAddress(0x1000))
    write(0x1000, 0, 8)
    write(0x2000, 8, 8)
    write(4, 0x10, 4)
    #expect(read(0x14, 4) == 2)
    #expect(try memory.read(at: GuestAddress(0x2000), count: 4) == [0, 0, 0, 0])
    #expect(reports.lines.withLock { $0 } == [DMAError.notBusMaster.description])

    makeBusMaster()
    write(4, 0x10, 4)
    #expect(read(0x14, 4) == 1)
    #expect(try memory.read(at: GuestAddress(0x2000), count: 4) == [1, 2, 3, 4])
  }

  @Test func whatIsNoMemoryIsNotReached() {
    makeBusMaster()
    write(.max &- 2, 0, 8)
    write(4, 0x10, 4)
    #expect(read(0x14, 4) == 2)
    write(0, 0, 8)
    write((1 << 20) - 2, 8, 8)
    write(4, 0x10, 4)
    #expect(read(0x14, 4) == 2)
  }

  @Test func aRequestIsThePinUntilMessagesAreEnabled() {
    write(1, 0x18, 4)
    #expect(line.isAsserted)
    write(0, 0x18, 4)
    #expect(!line.isAsserted)

    enableVector(1, InterruptMessage(address: 0xFEE0_0000, data: 0x41))
    write(1, 0x18, 4)
    #expect(!line.isAsserted)
    #expect(messages.made[1].deliveries == [InterruptMessage(address: 0xFEE0_0000, data: 0x41)])
    #expect(messages.made[0].deliveries.isEmpty)
    // The driver goes back to the pin, where the request still is.
    bus.write(0, address, Self.messageControl, width: 2)
    #expect(line.isAsserted)
  }

  private func enableVector(_ vector: UInt64, _ message: InterruptMessage) {
    bus.write(0x8000, address, Self.messageControl, width: 2)
    function.msix?.write(message.address, vector * 16, width: 8)
    function.msix?.write(UInt64(message.data), vector * 16 + 8, width: 8)
  }

  @Test func aResetIsAsAtPowerOn() {
    write(7, 0, 8)
    write(1, 0x18, 4)
    bus.reset()
    #expect(read(0, 8) == 0)
    #expect(!line.isAsserted)
  }

  @Test func aStateGoesOnInAnotherFunction() throws {
    write(0x1234, 0, 8)
    write(1, 0x18, 4)
    write(0x5A, 3, 1, bar: 2)
    let otherLine = RecordingLine()
    let other = try PCIDeviceFunction(
      CopyingDevice.model,
      memory: memory,
      line: otherLine,
      messages: nil
    ) { _ in
    }
    try other.device.restore(function.device.save())
    #expect(other.readBAR(BusAccess(region: 0, offset: 0, width: 8)) == 0x1234)
    #expect(other.readBAR(BusAccess(region: 2, offset: 0, width: 1)) == 0x5A)
    #expect(otherLine.isAsserted)
    #expect(other.msix == nil)
    #expect(other.configuration.bars.count == 2)
  }
}
