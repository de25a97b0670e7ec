import DeviceModel
import Platform
import Synchronization
import TestSupport
import Testing

/// The port through its registers, as the drivers of real systems use it.
@Suite struct Serial16550Tests {
  private enum R {
    static let data: UInt64 = 0
    static let interruptEnable: UInt64 = 1
    static let identification: UInt64 = 2
    static let fifoControl: UInt64 = 2
    static let lineControl: UInt64 = 3
    static let modemControl: UInt64 = 4
    static let lineStatus: UInt64 = 5
    static let modemStatus: UInt64 = 6
    static let scratch: UInt64 = 7
  }

  private let line = RecordingLine()
  private let backend = RecordingBackend()
  private let clock = ManualClock()
  private let port: Serial16550

  init() { port = Serial16550(line: line, backend: backend, clock: clock) }

  private func enableFIFOs(_ bits: UInt64 = 0) { port.write(R.fifoControl, 0x01 | bits) }
  private func send(_ text: String) { text.utf8.forEach { port.write(R.data, UInt64($0)) } }
  private func drain(_ count: Int) -> [UInt8] {
    (0..<count).map { _ in UInt8(port.read(R.data)) }
  }

  // MARK: Detection

  @Test func withFIFOsEnabledItIdentifiesAsA16550A() {
    enableFIFOs()

    #expect(port.read(R.identification) == 0xC1)
  }

  @Test func withFIFOsDisabledItIdentifiesAsA16450() {
    #expect(port.read(R.identification) == 0x01)
  }

  @Test func upperBitsThatOnlyLaterPartsHaveReadAsZero() {
    port.write(R.interruptEnable, 0xFF)
    port.write(R.modemControl, 0xE0)

    #expect(port.read(R.interruptEnable) == 0x0F)
    #expect(port.read(R.modemControl) == 0x00)
  }

  @Test func theLargerFIFOsOfTheSixteenSevenFiftyAreAbsent() {
    port.write(R.lineControl, 0x80)
    enableFIFOs(0x20)

    #expect(port.read(R.identification) >> 5 == 6)
  }

  @Test func theScratchRegisterKeepsItsByte() {
    port.write(R.scratch, 0xA5)

    #expect(port.read(R.scratch) == 0xA5)
  }

  @Test func theDivisorLatchOpensOverDataAndInterruptEnable() {
    port.write(R.interruptEnable, 0x05)
    port.write(R.lineControl, 0x83)
    port.write(R.data, 0x34)
    port.write(R.interruptEnable, 0x12)

    #expect(port.read(0, width: 2) == 0x1234)
    port.write(R.lineControl, 0x03)
    #expect(port.read(R.interruptEnable) == 0x05)
    #expect(backend.text == "")
  }

  // MARK: Sending

  @Test func bytesReachTheBackendInOrder() {
    send("hello")

    #expect(backend.text == "hello")
    #expect(port.read(R.lineStatus) == 0x60)
  }

  @Test func aBackendWithoutRoomHoldsTheGuestBackAndLosesNothing() {
    enableFIFOs()
    backend.makeRoom(for: 2)

    send("abcd")

    #expect(backend.text == "ab")
    #expect(port.read(R.lineStatus) & 0x60 == 0)
    backend.makeRoom(for: 9)
    #expect(backend.text == "abcd")
    #expect(port.read(R.lineStatus) & 0x60 == 0x60)
  }

  @Test func aTransmitterThatBecomesEmptyLaterInterruptsThen() {
    enableFIFOs()
    backend.makeRoom(for: 0)
    send("a")
    port.write(R.interruptEnable, 0x02)
    #expect(!line.isAsserted)

    backend.makeRoom(for: 1)

    #expect(line.isAsserted)
    #expect(port.read(R.identification) == 0xC2)
  }

  @Test func sixteenBytesFitWhileTheBackendIsFull() {
    enableFIFOs()
    backend.makeRoom(for: 0)

    send("0123456789abcdefLOST")
    backend.makeRoom(for: 99)

    #expect(backend.text == "0123456789abcdef")
  }

  @Test func enablingTheInterruptWithAnEmptyTransmitterRaisesIt() {
    port.write(R.interruptEnable, 0x02)

    #expect(line.isAsserted)
    #expect(port.read(R.identification) == 0x02)
    #expect(!line.isAsserted)
    #expect(port.read(R.identification) == 0x01)
  }

  @Test func enablingItAgainRaisesItAgain() {
    port.write(R.interruptEnable, 0x02)
    _ = port.read(R.identification)
    port.write(R.interruptEnable, 0x00)
    port.write(R.interruptEnable, 0x02)

    #expect(port.read(R.identification) == 0x02)
  }

  @Test func everyByteSentGivesAnEdgeSoThatADriverOfOneByteAtATimeGoesOn() {
    port.write(R.interruptEnable, 0x02)

    send("abc")

    #expect(line.rises == 4)
    #expect(line.isAsserted)
  }

  // MARK: Receiving

  @Test func withoutFIFOsOneByteIsTakenAndInterrupts() {
    port.write(R.interruptEnable, 0x01)

    #expect(port.receive([0x41, 0x42]) == 1)

    #expect(line.isAsserted)
    #expect(port.read(R.identification) == 0x04)
    #expect(port.read(R.lineStatus) & 0x01 == 0x01)
    #expect(port.read(R.data) == 0x41)
    #expect(!line.isAsserted)
  }

  @Test func sixteenBytesAreTakenAndReadBackInOrder() {
    enableFIFOs()

    #expect(port.receive(0..<20) == 16)

    #expect(drain(16) == Array(0..<16))
    #expect(port.read(R.lineStatus) & 0x01 == 0)
  }

  @Test(arguments: [(UInt64(0x00), 1), (0x40, 4), (0x80, 8), (0xC0, 14)])
  func theTriggerLevelDecidesWhenDataInterrupts(bits: UInt64, level: Int) {
    enableFIFOs(bits)
    port.write(R.interruptEnable, 0x01)

    _ = port.receive(Array(repeating: 0, count: level - 1))
    #expect(!line.isAsserted)
    _ = port.receive([0])

    #expect(line.isAsserted)
    #expect(port.read(R.identification) == 0xC4)
  }

  @Test func bytesBelowTheTriggerLevelInterruptAfterFourCharacterTimes() {
    enableFIFOs(0x80)
    setBaud115200()
    port.write(R.interruptEnable, 0x01)
    _ = port.receive([0x41, 0x42])

    clock.advance(nanoseconds: 340_000)
    #expect(!line.isAsserted)
    clock.advance(nanoseconds: 10_000)

    #expect(line.isAsserted)
    #expect(port.read(R.identification) == 0xCC)
  }

  @Test func readingAByteStartsTheTimeoutAnew() {
    enableFIFOs(0x80)
    setBaud115200()
    port.write(R.interruptEnable, 0x01)
    _ = port.receive([0x41, 0x42])
    clock.advance(nanoseconds: 400_000)

    _ = port.read(R.data)
    #expect(!line.isAsserted)
    clock.advance(nanoseconds: 400_000)

    #expect(line.isAsserted)
    _ = port.read(R.data)
    clock.advance(nanoseconds: 400_000)
    #expect(!line.isAsserted)
    #expect(clock.armedCount == 0)
  }

  @Test func anotherByteStartsTheTimeoutAnew() {
    enableFIFOs(0x80)
    setBaud115200()
    port.write(R.interruptEnable, 0x01)
    _ = port.receive([0x41])
    clock.advance(nanoseconds: 300_000)
    _ = port.receive([0x42])

    clock.advance(nanoseconds: 300_000)

    #expect(!line.isAsserted)
  }

  @Test func aFeederThatWasTurnedAwayIsCalledOnceHalfOfTheFIFOIsFree() {
    enableFIFOs()
    let calls = Mutex(0)
    port.whenReceiverReady { calls.withLock { $0 += 1 } }
    _ = port.receive(0..<17)

    _ = drain(7)
    #expect(calls.withLock { $0 } == 0)
    _ = drain(9)

    #expect(calls.withLock { $0 } == 1)
  }

  @Test func aFeederThatWasNotTurnedAwayIsNotCalled() {
    enableFIFOs()
    let calls = Mutex(0)
    port.whenReceiverReady { calls.withLock { $0 += 1 } }
    _ = port.receive(0..<16)

    _ = drain(16)

    #expect(calls.withLock { $0 } == 0)
  }

  @Test func clearingTheReceiverDropsItsBytesAndLetsTheFeederGoOn() {
    enableFIFOs()
    let calls = Mutex(0)
    port.whenReceiverReady { calls.withLock { $0 += 1 } }
    _ = port.receive(0..<17)

    enableFIFOs(0x02)

    #expect(port.read(R.lineStatus) & 0x01 == 0)
    #expect(calls.withLock { $0 } == 1)
  }

  @Test func aBreakShowsAtItsByteAndIsGoneOnceRead() {
    enableFIFOs()
    port.write(R.interruptEnable, 0x05)
    _ = port.receive([0x41])
    port.receiveBreak()

    #expect(port.read(R.lineStatus) & 0x91 == 0x81)
    _ = port.read(R.data)
    #expect(port.read(R.identification) == 0xC6)
    #expect(port.read(R.lineStatus) & 0x91 == 0x91)
    #expect(port.read(R.lineStatus) & 0x91 == 0x01)
    #expect(port.read(R.data) == 0)
  }

  @Test func readingAnEmptyReceiverGivesZero() {
    #expect(port.read(R.data) == 0)
  }

  // MARK: Modem and loopback

  @Test func thePeerIsThereAndReady() {
    #expect(port.read(R.modemStatus) == 0xB0)
  }

  @Test func inLoopbackTheModemOutputsAreItsInputs() {
    port.write(R.modemControl, 0x1A)

    #expect(port.read(R.modemStatus) & 0xF0 == 0x90)
  }

  @Test func modemChangesInterruptAndAreClearedByReading() {
    port.write(R.modemControl, 0x10)
    _ = port.read(R.modemStatus)
    port.write(R.interruptEnable, 0x08)

    port.write(R.modemControl, 0x12)

    #expect(line.isAsserted)
    #expect(port.read(R.identification) == 0x00)
    #expect(port.read(R.modemStatus) == 0x11)
    #expect(!line.isAsserted)
  }

  @Test func theRingIndicatorCountsWhenItEnds() {
    port.write(R.modemControl, 0x14)
    #expect(port.read(R.modemStatus) & 0x04 == 0)

    port.write(R.modemControl, 0x10)

    #expect(port.read(R.modemStatus) & 0x04 == 0x04)
  }

  @Test func inLoopbackWhatIsSentComesBackAndNotOut() {
    port.write(R.modemControl, 0x10)

    send("x")

    #expect(port.read(R.data) == 0x78)
    #expect(backend.text == "")
    #expect(port.receive([0x41]) == 0)
  }

  @Test func inLoopbackTooManyBytesOverrun() {
    port.write(R.modemControl, 0x10)

    send("xy")

    #expect(port.read(R.lineStatus) & 0x03 == 0x03)
    #expect(port.read(R.lineStatus) & 0x03 == 0x01)
    #expect(port.read(R.data) == 0x78)
  }

  // MARK: Priorities and reset

  @Test func interruptsAreToldByPriority() {
    port.write(R.modemControl, 0x10)
    _ = port.read(R.modemStatus)
    port.write(R.interruptEnable, 0x0F)
    send("xy")
    port.write(R.modemControl, 0x12)

    #expect(port.read(R.identification) == 0x06)
    _ = port.read(R.lineStatus)
    #expect(port.read(R.identification) == 0x04)
    _ = port.read(R.data)
    #expect(port.read(R.identification) == 0x02)
    #expect(port.read(R.identification) == 0x00)
    _ = port.read(R.modemStatus)
    #expect(port.read(R.identification) == 0x01)
    #expect(!line.isAsserted)
  }

  @Test func resetLowersTheLineAndClearsTheRegisters() {
    enableFIFOs()
    port.write(R.interruptEnable, 0x0F)
    _ = port.receive([1, 2, 3])

    port.reset()

    #expect(!line.isAsserted)
    #expect(port.read(R.interruptEnable) == 0)
    #expect(port.read(R.identification) == 0x01)
    #expect(port.read(R.lineStatus) == 0x60)
    #expect(clock.armedCount == 0)
  }

  @Test(arguments: [UInt64(8), 100, .max - 1, .max])
  func offsetsBeyondTheRegistersReadZeroAndAreIgnored(offset: UInt64) {
    port.write(offset, 0xFFFF, width: 2)

    #expect(port.read(offset, width: 1) == 0)
  }

  private func setBaud115200() {
    port.write(R.lineControl, 0x83)
    port.write(R.data, 1)
    port.write(R.interruptEnable, 0)
    port.write(R.lineControl, 0x03)
  }
}
