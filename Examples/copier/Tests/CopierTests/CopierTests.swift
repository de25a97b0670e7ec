import DeviceModel
import GuestMemory
import PCI
import Testing

@testable import copier

/// The device through its registers, as a driver uses it, with memory and a pin that the test looks at.
@Suite struct CopierTests {
  private let memory: GuestMemory
  private let line = Pin()
  private let function: PCIDeviceFunction

  init() throws {
    memory = try GuestMemory([(GuestAddress(0), 1 << 20)])
    function = try PCIDeviceFunction(Copier.model, memory: memory, line: line, messages: nil) { _ in
    }
    // The bus master bit: without it a device has no memory.
    function.configuration.write(0b110, 4, width: 2)
  }

  private func write(_ value: UInt64, _ offset: UInt64) {
    function.writeBAR(value, BusAccess(region: 0, offset: offset, width: 4))
  }

  private func read(_ offset: UInt64) -> UInt64 {
    function.readBAR(BusAccess(region: 0, offset: offset, width: 4))
  }

  private func copy(_ count: UInt64, from source: UInt64, to target: UInt64) {
    for (offset, value) in [(0, source), (8, target), (0x10, count), (0x14, 1)] {
      write(value & 0xFFFF_FFFF, UInt64(offset))
    }
  }

  @Test func memoryIsCopiedAndTheDriverIsInterrupted() throws {
    try memory.write([1, 2, 3, 4], at: GuestAddress(0x1000))
    copy(4, from: 0x1000, to: 0x2000)
    #expect(read(0x18) == 1)
    #expect(try memory.read(at: GuestAddress(0x2000), count: 4) == [1, 2, 3, 4])
    #expect(line.isAsserted)
    write(0, 0x18)
    #expect(read(0x18) == 0)
    #expect(!line.isAsserted)
  }

  @Test func whatIsNoMemoryIsNotCopied() {
    copy(16, from: 0xFFFF_FFF8, to: 0x2000)
    #expect(read(0x18) == 2)
    #expect(line.isAsserted)
  }

  @Test func aDriverWithTooMuchToCopyGetsSoMuch() throws {
    try memory.write([UInt8](repeating: 7, count: 0x20000), at: GuestAddress(0))
    copy(.max, from: 0, to: 0x40000)
    #expect(read(0x18) == 1)
    #expect(try memory.read(at: GuestAddress(0x4FFFF), count: 2) == [7, 0])
  }

  @Test func aRestoredDeviceGoesOnWhereTheSavedOneWas() throws {
    copy(4, from: 0x1000, to: 0x2000)
    let state = function.device.save()
    let (otherLine, other) = (Pin(), Copier.model)
    let restored = try PCIDeviceFunction(other, memory: memory, line: otherLine, messages: nil) {
      _ in
    }
    try restored.device.restore(state)
    #expect(otherLine.isAsserted)
    #expect(restored.device.save() == state)
    #expect(throws: DeviceStateError.trailing(1)) { try restored.device.restore(state + [0]) }
  }

  @Test func aResetForgetsEverything() {
    copy(4, from: 0x1000, to: 0x2000)
    function.reset()
    #expect(read(0) == 0)
    #expect(read(0x18) == 0)
  }
}
