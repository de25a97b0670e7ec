import DeviceModel
import GuestMemory
import PCI
import TestSupport
import Testing

/// Memory of a device's that the guest reaches by itself, in the same process.
@Suite(.timeLimit(.minutes(5))) struct PCIBARMemoryTests {
  private let mapper = FakeMapper()
  private let function: PCIDeviceFunction

  init() throws {
    function = try Self.makeFunction(mapper)
    function.barDidMove(0, to: 0xE000_0000)
  }

  private static func makeFunction(_ mapper: FakeMapper) throws -> PCIDeviceFunction {
    try PCIDeviceFunction(
      FrameDevice.model,
      memory: try GuestMemory(count: 1 << 16),
      line: RecordingLine(),
      messages: FakeMessageInterrupts(),
      mapper: mapper
    ) { _ in }
  }

  @Test func theAreasFollowTheirBAR() {
    #expect(mapper.places == [0xE000_1000..<0xE000_3000, 0xE000_8000..<0xE000_9000])
    function.barDidMove(0, to: nil)
    #expect(mapper.places == [])
    function.barDidMove(0, to: 0xE010_0000)
    function.barDidMove(2, to: 0xE020_0000)
    #expect(
      mapper.places == [
        0xE010_1000..<0xE010_3000, 0xE010_8000..<0xE010_9000, 0xE020_0000..<0xE020_2000,
      ]
    )
    function.stop()
    #expect(mapper.places == [])
  }

  @Test func theGuestAndTheDeviceSeeTheSame() throws {
    #expect(mapper.write([0x5A], at: 0xE000_1000))
    #expect(function.readBAR(BusAccess(region: 0, offset: 0, width: 1)) == 0x5A)
    function.writeBAR(0xA5, BusAccess(region: 0, offset: 0, width: 1))
    #expect(mapper.read(0xE000_8000, count: 1) == [0xA5])
    // An access that comes one by one finds the same, and is not the device's.
    let device = try #require(function.device as? FrameDevice)
    let count = device.accesses.count
    #expect(function.readBAR(BusAccess(region: 0, offset: 0x1000, width: 4)) == 0x5A)
    function.writeBAR(0x0807_0605_0403_0201, BusAccess(region: 0, offset: 0x2FF8, width: 8))
    #expect(mapper.read(0xE000_2FF8, count: 8) == [1, 2, 3, 4, 5, 6, 7, 8])
    #expect(device.accesses.count == count)
    _ = function.readBAR(BusAccess(region: 0, offset: 0x3000, width: 4))
    #expect(device.accesses.count == count + 1)
  }

  @Test func whatCannotBeMappedIsAccessedOneByOne() throws {
    mapper.isFull = true
    function.barDidMove(2, to: 0xE020_0000)
    #expect(mapper.places.count == 2)
    function.writeBAR(7, BusAccess(region: 2, offset: 0x1FFF, width: 1))
    #expect(function.readBAR(BusAccess(region: 2, offset: 0x1FFF, width: 1)) == 7)
  }

  @Test func itIsSavedAndRestoredAndZeroedAtAReset() throws {
    #expect(mapper.write([1, 2, 3], at: 0xE000_2FFD))
    function.writeBAR(9, BusAccess(region: 2, offset: 0x1000, width: 1))
    function.pause()
    let state = try function.saveState()
    function.resume()
    #expect(state.count < 3 * 4096)

    let other = try Self.makeFunction(FakeMapper())
    other.writeBAR(1, BusAccess(region: 2, offset: 0, width: 1))
    other.pause()
    try other.restoreState(state)
    other.resume()
    #expect(other.readBAR(BusAccess(region: 0, offset: 0x2FFC, width: 4)) == 0x0302_0100)
    #expect(other.readBAR(BusAccess(region: 2, offset: 0x1000, width: 1)) == 9)
    #expect(other.readBAR(BusAccess(region: 2, offset: 0, width: 1)) == 0)

    other.reset()
    #expect(other.readBAR(BusAccess(region: 2, offset: 0x1000, width: 1)) == 0)
  }

  @Test func aStateWithMemoryThatThereIsNotIsRefused() throws {
    function.writeBAR(9, BusAccess(region: 2, offset: 0x1000, width: 1))
    function.pause()
    let state = try function.saveState()
    function.resume()
    // From its end: a page, its offset, how many there are.
    for place in [4096 + 1, 4096 + 8, 4096 + 8 + 4] {
      var bad = state
      bad[bad.count - place] ^= 0x80
      let other = try Self.makeFunction(FakeMapper())
      other.pause()
      #expect(throws: PCIStateError.self) { try other.restoreState(bad) }
      #expect(other.readBAR(BusAccess(region: 2, offset: 0x1000, width: 1)) == 0)
    }
    #expect(throws: PCIStateError.self) { try function.restoreState(Array(state.dropLast(4096))) }
  }
}
