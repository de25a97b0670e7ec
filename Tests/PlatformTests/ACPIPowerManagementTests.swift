import DeviceModel
import Platform
import TestSupport
import Testing

@Suite struct ACPIPowerManagementTests {
  private let line = RecordingLine()
  private let clock = ManualClock()
  private let system = RecordingSystem()
  private let device: ACPIPowerManagement

  init() { device = ACPIPowerManagement(line: line, clock: clock, system: system) }

  private var status: UInt64 { device.read(0, width: 2) }
  private func enable(_ bits: UInt64) { device.write(2, bits, width: 2) }

  // MARK: Sleep

  @Test func acpiModeIsAlwaysOn() {
    device.write(4, 0, width: 2)

    #expect(device.read(4, width: 2) == 0x0001)
  }

  @Test func enteringSoftOffTurnsTheMachineOff() {
    device.write(4, 5 << 10 | 1 << 13, width: 2)

    #expect(system.events == [.powerOff])
  }

  @Test func theTwoStepsOfADriverTurnTheMachineOffOnce() {
    device.write(4, 5 << 10 | 1, width: 2)
    #expect(system.events == [])
    device.write(4, 5 << 10 | 1 << 13 | 1, width: 2)

    #expect(system.events == [.powerOff])
    #expect(device.read(4, width: 2) == 5 << 10 | 1)
  }

  @Test(arguments: [UInt64(0), 1, 3, 4, 7])
  func otherSleepStatesDoNotExist(type: UInt64) {
    device.write(4, type << 10 | 1 << 13, width: 2)

    #expect(system.events == [])
  }

  // MARK: Power button

  @Test func pressingTheButtonInterruptsAGuestThatListens() {
    enable(0x0100)
    #expect(device.isPowerButtonEnabled)

    device.pressPowerButton()

    #expect(line.isAsserted)
    #expect(status & 0x0100 == 0x0100)
  }

  @Test func writingAOneClearsTheStatusAndLowersTheLine() {
    enable(0x0100)
    device.pressPowerButton()

    device.write(0, 0x0100, width: 2)

    #expect(status & 0x0100 == 0)
    #expect(!line.isAsserted)
  }

  @Test func writingAZeroKeepsTheStatus() {
    device.pressPowerButton()

    device.write(0, 0, width: 2)

    #expect(status & 0x0100 == 0x0100)
  }

  @Test func withoutTheGuestsConsentThereIsNoInterruptUntilItEnables() {
    device.pressPowerButton()
    #expect(!line.isAsserted)
    #expect(!device.isPowerButtonEnabled)

    enable(0x0100)

    #expect(line.isAsserted)
  }

  @Test func statusAndEnableMayBeAccessedAsOneDoubleWord() {
    device.pressPowerButton()

    device.write(0, 0x0100_0100, width: 4)

    #expect(device.read(0, width: 4) == 0x0100_0000)
    #expect(!line.isAsserted)
  }

  @Test func bytesMayBeAccessedAlone() {
    device.write(3, 0x01)
    device.pressPowerButton()

    #expect(device.read(1) == 0x01)
    device.write(1, 0x01)
    #expect(!line.isAsserted)
  }

  @Test func onlyEventsThatExistCanBeEnabled() {
    enable(0xFFFF)

    #expect(device.read(2, width: 2) == 0x0521)
  }

  // MARK: Timer

  @Test func theTimerCountsAtItsFrequency() {
    let before = device.read(8, width: 4)
    clock.advance(seconds: 10)

    #expect(device.read(8, width: 4) - before == 35_795_450)
  }

  @Test func theTimerIsReadOnly() {
    clock.advance(seconds: 1)
    device.write(8, 0, width: 4)

    #expect(device.read(8, width: 4) == 3_579_545)
  }

  @Test func theTimerWrapsAtThirtyTwoBits() {
    clock.advance(seconds: 1300)

    #expect(device.read(8, width: 4) == 1300 * 3_579_545 - 1 << 32)
  }

  @Test func theTopBitsChangeInterruptsIfEnabled() {
    enable(0x0001)

    clock.advance(seconds: 599)
    #expect(!line.isAsserted)
    clock.advance(seconds: 1)

    #expect(line.isAsserted)
    #expect(device.read(8, width: 4) >> 31 == 1)
    device.write(0, 0x0001, width: 2)
    #expect(!line.isAsserted)
    clock.advance(seconds: 600)
    #expect(line.isAsserted)
  }

  @Test func noTimerRunsUnlessTheGuestAsks() {
    #expect(clock.armedCount == 0)
  }

  @Test func accessesBeyondTheRegistersReadZero() {
    #expect(device.read(12, width: 4) == 0)
    device.write(12, 0xFFFF_FFFF, width: 4)
    #expect(system.events == [])
  }

  @Test func resetLowersTheLine() {
    enable(0x0100)
    device.pressPowerButton()

    device.reset()

    #expect(!line.isAsserted)
    #expect(!device.isPowerButtonEnabled)
    #expect(status == 0)
  }
}
