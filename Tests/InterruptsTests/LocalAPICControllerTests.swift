import DeviceModel
import Interrupts
import TestSupport
import Testing

/// Local APICs together with the I/O APIC and the 8259s.
@Suite final class LocalAPICControllerTests {
  /// A device whose level stays as it is when its interrupt is ended.
  final class Device: PinAcknowledgement {
    func acknowledged(_ pin: ControllerPin) {}
  }

  let clock = ManualClock()
  let all: LocalAPICs
  let levels = PinLevels()
  let picLevels = PinLevels()
  let ioAPIC: IOAPIC
  let pic: PICPair
  let device = Device()

  init() {
    let all = LocalAPICs(count: 2, clock: clock)
    self.all = all
    ioAPIC = IOAPIC(id: 0, levels: levels, messages: all, acknowledgement: device)
    let pic = PICPair(levels: picLevels, acknowledgement: device)
    self.pic = pic
    all.connect(endOfInterrupt: ioAPIC, external: pic)
    pic.whenOutputChanges { [weak all] level in all?.setExternalRequest(level) }
    for index in 0..<2 { all[index].enterVirtualWireMode() }
  }

  deinit { all.disconnect() }

  private func setEntry(_ pin: UInt64, _ low: UInt64, destination: UInt64) {
    for (register, value) in [(0x11 + 2 * pin, destination << 24), (0x10 + 2 * pin, low)] {
      ioAPIC.write(register, BusAccess(offset: 0, width: 4))
      ioAPIC.write(value, BusAccess(offset: 0x10, width: 4))
    }
  }

  private func setLevel(_ pin: Int, _ level: Bool) {
    levels.set(pin, level)
    ioAPIC.refresh()
  }

  @Test func aLevelInterruptsUntilItsEndFindsItLow() {
    setEntry(5, 0x8041, destination: 1)

    setLevel(5, true)
    #expect(all[1].acknowledgeInterrupt() == 0x41)
    #expect(all[1].acknowledgeInterrupt() == nil)
    all[1].write(0, BusAccess(offset: 0xB0, width: 4))
    #expect(all[1].acknowledgeInterrupt() == 0x41)
    setLevel(5, false)
    all[1].write(0, BusAccess(offset: 0xB0, width: 4))

    #expect(!all[1].hasWork)
    #expect(all[1].counters.ended == 2)
  }

  @Test func anEdgeGoesToTheLowestPriority() {
    all[0].taskPriority = 0x20
    setEntry(6, 0x0151, destination: 0xFF)

    setLevel(6, true)

    #expect(!all[0].hasWork)
    #expect(all[1].acknowledgeInterrupt() == 0x51)
  }

  @Test func the8259sHandOutTheirVectors() {
    for (port, value) in [(0, 0x11), (1, 0x30), (1, 0x04), (1, 0x01), (1, 0xFE)]
      as [(UInt64, UInt64)]
    {
      pic.write(value, BusAccess(region: 0, offset: port, width: 1))
    }
    picLevels.set(0, true)
    pic.refresh()

    #expect(all[0].hasInterrupt)
    #expect(all[1].hasInterrupt)
    #expect(all[0].acknowledgeInterrupt() == 0x30)
    #expect(all[1].acknowledgeInterrupt() == nil)
    #expect(!all[0].hasWork)
    #expect(!all[1].hasWork)
  }
}
