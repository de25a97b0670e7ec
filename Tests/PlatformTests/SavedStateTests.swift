import DeviceModel
import Platform
import Synchronization
import TestSupport
import Testing

/// The platform's devices, saved, and put back into others: what a guest sees goes on.
@Suite struct SavedStateTests {
  private let line = RecordingLine()
  private let clock = ManualClock(seconds: 1_709_251_198)
  private let laterLine = RecordingLine()
  /// Of another process: its monotonic time begins anew.
  private let later = ManualClock(seconds: 1_709_251_198 + 3600)

  @Test func aSerialPortGoesOnWithWhatItHadReceived() {
    let port = Serial16550(line: line, backend: RecordingBackend(), clock: clock)
    port.write(3, 0x83)
    port.write(0, 0x01)
    port.write(3, 0x03)
    port.write(2, 0xC1)
    port.write(1, 0x05)
    port.write(4, 0x0B)
    port.write(7, 0x5A)
    _ = port.receive([1, 2, 3])
    port.receiveBreak()
    #expect(!line.isAsserted)

    let other = Serial16550(line: laterLine, backend: RecordingBackend(), clock: later)
    other.savedState = port.savedState

    #expect(other.savedState == port.savedState)
    #expect([1, 3, 4, 7].map { other.read($0) } == [5, 3, 0x0B, 0x5A])
    #expect(other.read(2) == 0xC1)
    // Four bytes wait below the trigger level: the timeout begins anew.
    later.advance(seconds: 1)
    #expect(laterLine.isAsserted)
    #expect((0..<3).map { _ in other.read(0) } == [1, 2, 3])
    #expect(other.read(5) & 0x11 == 0x11)
    other.write(3, 0x83)
    #expect(other.read(0) == 1)
  }

  @Test func whatASerialPortCouldNotSendIsSentByTheOther() {
    let port = Serial16550(line: line, backend: RecordingBackend(room: 1), clock: clock)
    port.write(2, 0x01)
    port.write(1, 0x02)
    for byte in Array("abc".utf8) { port.write(0, UInt64(byte)) }

    let backend = RecordingBackend()
    let other = Serial16550(line: laterLine, backend: backend, clock: later)
    other.savedState = port.savedState

    #expect(backend.text == "bc")
    #expect(laterLine.isAsserted)
    #expect(other.read(2) == 0xC2)
  }

  @Test func aSerialStateThatNoPortCanHaveIsCutToOneThatItCan() {
    var state = SerialState()
    state.interruptEnable = 0xFF
    state.fifoControl = 0xFE
    state.modemControl = 0xFF
    state.received = Array(repeating: .init(byte: 1, errors: 0xFF), count: 99)
    state.transmitted = Array(repeating: 2, count: 99)
    let port = Serial16550(line: line, backend: RecordingBackend(room: 0), clock: clock)

    port.savedState = state

    #expect(port.savedState.received.count == 1)
    #expect(port.read(1) == 0x0F)
  }

  @Test func thePowerManagementTimerGoesOnFromWhereItWas() {
    let system = RecordingSystem()
    let device = ACPIPowerManagement(line: line, clock: clock, system: system)
    clock.advance(seconds: 700)
    device.write(2, 0x0101, width: 2)
    device.pressPowerButton()
    let ticks = device.read(8, width: 4)

    let other = ACPIPowerManagement(line: laterLine, clock: later, system: system)
    later.advance(seconds: 5)
    other.savedState = device.savedState

    #expect(other.read(8, width: 4) == ticks)
    #expect(other.read(0, width: 4) == device.read(0, width: 4))
    #expect(laterLine.isAsserted)
    other.write(0, 0xFFFF, width: 2)
    #expect(!laterLine.isAsserted)
    // The top bit changes every 2^31 ticks, 599.9 s: the next time is 1199.8 s after the beginning.
    later.advance(seconds: 499)
    #expect(!laterLine.isAsserted)
    later.advance(seconds: 1)
    #expect(laterLine.isAsserted)
  }

  @Test func theRealTimeClockKeepsItsDifferenceAndItsAlarms() {
    let rtc = RealTimeClock(line: line, clock: clock, lowMemory: 3 << 30)
    func set(_ rtc: RealTimeClock, _ register: UInt64, _ value: UInt64) {
      rtc.write(0, register)
      rtc.write(1, value)
    }
    func get(_ rtc: RealTimeClock, _ register: UInt64) -> UInt64 {
      rtc.write(0, register)
      return rtc.read(1)
    }
    set(rtc, 0x04, 0x11)
    set(rtc, 0x40, 0x77)
    set(rtc, 0x0B, 0x12)
    rtc.write(0, 0x40)

    let other = RealTimeClock(line: laterLine, clock: later)
    other.savedState = rtc.savedState

    #expect(other.read(1) == 0x77)
    #expect(get(other, 0x34) == get(rtc, 0x34))
    // An hour later by the host, and so by the guest.
    #expect(get(other, 0x04) == 0x12)
    #expect(!laterLine.isAsserted)
    later.advance(seconds: 1)
    #expect(laterLine.isAsserted)
    // Update ended, and interrupting; the periodic flag comes whether it may interrupt or not.
    #expect(get(other, 0x0C) & ~0x40 == 0x90)
  }

  @Test func theOthersAreAsTheyWere() {
    let system = RecordingSystem()
    let keyboard = KeyboardController(system: system)
    keyboard.write(0, 0x60, region: 1)
    let otherKeyboard = KeyboardController(system: system)
    otherKeyboard.savedState = keyboard.savedState
    // The parameter that was still to come.
    otherKeyboard.write(0, 0x47)
    otherKeyboard.write(0, 0x20, region: 1)
    #expect(otherKeyboard.read(0) == 0x47)

    let reset = ResetRegister(system: system)
    reset.savedState = 0xFF
    #expect(reset.read(0) == 0x0E)
    #expect(system.events == [])

    let firmware = FirmwareConfiguration(memorySize: 1 << 20, processorCount: 1, memoryMap: [])
    firmware.write(0, 0, width: 2)
    _ = firmware.read(1, width: 2)
    let otherFirmware = FirmwareConfiguration(
      memorySize: 1 << 20,
      processorCount: 1,
      memoryMap: []
    )
    otherFirmware.savedState = firmware.savedState
    #expect(otherFirmware.read(1) == UInt64(UInt8(ascii: "M")))
  }

  @Test func theTestDeviceHoldsTheLinesThatItHeld() {
    final class Lines: TestLines {
      let levels = Mutex<[Int: Bool]>([:])
      func setLine(_ line: Int, to level: Bool) { levels.withLock { $0[line] = level } }
    }
    let device = TestDevice(lines: Lines())
    device.write(3, 0x55)
    device.write(0x1234, 0x99, region: 2)
    device.write(17, 1, region: 1)
    let lines = Lines()
    let other = TestDevice(lines: lines)

    other.savedState = device.savedState

    #expect(other.read(3) == 0x55)
    #expect(other.read(0x1234, region: 2) == 0x99)
    #expect(lines.levels.withLock { $0.filter(\.value).keys.sorted() } == [17])
  }
}
