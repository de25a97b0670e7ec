import DeviceModel
import Platform
import TestSupport
import Testing

/// The clock through its two ports.
@Suite struct RealTimeClockTests {
  // 2024-02-29 23:59:58 UTC, a Thursday.
  private static let leapDay: Int64 = 1_709_251_198

  private let line = RecordingLine()
  private let clock = ManualClock(seconds: leapDay)
  private let rtc: RealTimeClock

  init() {
    rtc = RealTimeClock(line: line, clock: clock, lowMemory: 3 << 30, highMemory: 5 << 30)
  }

  private func register(_ index: UInt64) -> UInt64 {
    rtc.write(0, index)
    return rtc.read(1)
  }

  private func set(_ index: UInt64, _ value: UInt64) {
    rtc.write(0, index)
    rtc.write(1, value)
  }

  /// Century, year, month, day, weekday, hour, minute, second.
  private var time: [UInt64] { [0x32, 9, 8, 7, 6, 4, 2, 0].map(register) }

  // MARK: Time

  @Test func theTimeIsTheHostsInBinaryCodedDecimal() {
    #expect(time == [0x20, 0x24, 0x02, 0x29, 5, 0x23, 0x59, 0x58])
  }

  @Test func theTimePassesOverMidnightAndTheLeapDay() {
    clock.advance(seconds: 2)

    #expect(time == [0x20, 0x24, 0x03, 0x01, 6, 0x00, 0x00, 0x00])
  }

  @Test func theTimeIsInBinaryIfAskedFor() {
    set(0x0B, 0x06)

    #expect(time == [20, 24, 2, 29, 5, 23, 59, 58])
  }

  private static let hoursOfTwelve: [(Int64, UInt64)] = [
    (Int64(0), UInt64(0x91)), (-7200, 0x89), (2, 0x12), (2 + 3600 * 11, 0x11),
    (2 + 3600 * 12, 0x92), (2 + 3600 * 13, 0x81),
  ]

  @Test(arguments: hoursOfTwelve)
  func theHourIsOfTwelveIfAskedFor(seconds: Int64, hour: UInt64) {
    let rtc = RealTimeClock(line: line, clock: ManualClock(seconds: Self.leapDay + seconds))
    rtc.write(0, 0x000B, width: 2)
    rtc.write(0, 0x04)

    #expect(rtc.read(1) == hour)
  }

  @Test func aTimeThatIsSetRunsOnFromThere() {
    set(0x0B, 0x82)
    set(0x32, 0x19)
    set(0x09, 0x99)
    set(0x08, 0x12)
    set(0x07, 0x31)
    set(0x06, 0x06)
    set(0x04, 0x23)
    set(0x02, 0x59)
    set(0x00, 0x59)
    clock.advance(seconds: 100)
    #expect(time == [0x19, 0x99, 0x12, 0x31, 6, 0x23, 0x59, 0x59])
    set(0x0B, 0x02)

    clock.advance(seconds: 1)

    #expect(time == [0x20, 0x00, 0x01, 0x01, 7, 0x00, 0x00, 0x00])
  }

  @Test func aRegisterWrittenWhileTheClockRunsTakesEffect() {
    set(0x04, 0x12)

    #expect(register(0x04) == 0x12)
    #expect(register(0x02) == 0x59)
  }

  @Test func heldInDividerResetTheTimeStands() {
    set(0x0A, 0x76)
    clock.advance(seconds: 10)

    #expect(register(0x00) == 0x58)
    set(0x0A, 0x26)
    #expect(register(0x00) == 0x58)
  }

  @Test(arguments: 0...255)
  func noValueInATimeRegisterIsTooMuch(value: Int) {
    for index: UInt64 in [0x32, 9, 8, 7, 6, 4, 2, 0] { set(index, UInt64(value)) }
    set(0x0B, 0x80)
    for index: UInt64 in [0x32, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0] { set(index, UInt64(value)) }
    set(0x0B, 0x34)
    clock.advance(seconds: 1)

    #expect(register(0x00) < 60)
  }

  @Test func theUpdateShowsJustBeforeTheSecondEnds() {
    clock.advance(nanoseconds: 999_700_000)
    #expect(register(0x0A) == 0x26)

    clock.advance(nanoseconds: 100_000)
    #expect(register(0x0A) == 0xA6)

    clock.advance(nanoseconds: 200_000)
    #expect(register(0x0A) == 0x26)
  }

  @Test func theBatteryIsFine() {
    #expect(register(0x0D) == 0x80)
  }

  // MARK: Ports

  @Test func oneWordSetsIndexAndValue() {
    rtc.write(0, 0x5A3F, width: 2)

    #expect(register(0x3F) == 0x5A)
  }

  @Test func theInterruptMaskIsNoPartOfTheIndex() {
    set(0x40, 0x77)

    #expect(register(0xC0) == 0x77)
  }

  @Test func memorySizesAreWhereFirmwareLeavesThem() {
    let bytes = [0x15, 0x16, 0x17, 0x18, 0x30, 0x31, 0x34, 0x35, 0x5B, 0x5C, 0x5D].map(register)

    #expect(bytes == [0x80, 0x02, 0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0xBF, 0x00, 0x40, 0x01])
  }

  @Test func theChecksumIsRight() {
    let sum = (UInt64(0x10)...0x2D).map(register).reduce(0, +)

    #expect(register(0x2E) << 8 | register(0x2F) == sum)
  }

  // MARK: Interrupts

  @Test func noTimerRunsUnlessTheGuestAsks() {
    _ = register(0x0C)

    #expect(clock.armedCount == 0)
  }

  @Test func theUpdateInterruptComesAtTheNextSecond() {
    clock.advance(nanoseconds: 300_000_000)
    _ = register(0x0C)
    set(0x0B, 0x12)

    clock.advance(nanoseconds: 699_000_000)
    #expect(!line.isAsserted)
    clock.advance(nanoseconds: 1_000_000)

    #expect(line.isAsserted)
    #expect(register(0x0C) & 0x90 == 0x90)
    #expect(!line.isAsserted)
  }

  @Test func aReadOfTheFlagsLetsTheNextInterruptCome() {
    _ = register(0x0C)
    set(0x0B, 0x12)
    clock.advance(seconds: 1)
    _ = register(0x0C)

    clock.advance(seconds: 1)

    #expect(line.rises == 2)
  }

  @Test func flagsRiseWithoutTheirInterrupts() {
    _ = register(0x0C)
    clock.advance(seconds: 1)

    #expect(register(0x0C) & 0x10 == 0x10)
    #expect(register(0x0C) & 0x10 == 0)
    #expect(line.rises == 0)
  }

  @Test(arguments: [(UInt64(0x6), UInt64(1024)), (0xF, 2), (0x3, 8192), (0x1, 256)])
  func thePeriodicInterruptComesAtItsRate(rate: UInt64, frequency: UInt64) {
    set(0x0A, 0x20 | rate)
    set(0x0B, 0x42)
    _ = register(0x0C)
    let before = line.rises

    for _ in 0..<frequency {
      clock.advance(nanoseconds: 1_000_000_000 / frequency + 1)
      _ = register(0x0C)
    }

    #expect(abs(line.rises - before - Int(frequency)) <= 1)
  }

  @Test func anUnreadPeriodicInterruptCostsTheHostNothing() {
    set(0x0B, 0x42)
    clock.advance(seconds: 1)

    #expect(line.isAsserted)
    #expect(clock.armedCount == 0)
  }

  private static let alarms: [([UInt64], UInt64)] = [
    ([UInt64(0x00), 0x00, 0x00], UInt64(2)),  // midnight
    ([0x23, 0x59, 0x59], 1),
    ([0x23, 0x59, 0x58], 86_400),  // this very second has passed
    ([0xFF, 0xFF, 0x58], 60),
    ([0xC0, 0x30, 0x00], 1802),
    ([0xFF, 0xFF, 0xFF], 1),
    ([0x01, 0xFF, 0xFF], 3602),
  ]

  @Test(arguments: alarms)
  func theAlarmComesAtTheNextMatch(alarm: [UInt64], seconds: UInt64) {
    set(0x05, alarm[0])
    set(0x03, alarm[1])
    set(0x01, alarm[2])
    _ = register(0x0C)
    set(0x0B, 0x22)

    clock.advance(nanoseconds: seconds * 1_000_000_000 - 1)
    #expect(!line.isAsserted)
    clock.advance(nanoseconds: 1)

    #expect(line.isAsserted)
    #expect(register(0x0C) & 0xA0 == 0xA0)
  }

  @Test func anAlarmThatNoTimeMatchesNeverComes() {
    set(0x05, 0x24)
    set(0x0B, 0x22)

    clock.advance(seconds: 200_000)

    #expect(!line.isAsserted)
    #expect(clock.armedCount == 0)
  }

  @Test func stoppingTheClockStopsItsInterrupts() {
    set(0x0B, 0x12)
    set(0x0B, 0x92)
    clock.advance(seconds: 5)

    #expect(register(0x0B) == 0x82)
    #expect(!line.isAsserted)
  }

  @Test func resetTurnsInterruptsOffAndKeepsTheTime() {
    set(0x40, 0x55)
    set(0x0B, 0x72)
    clock.advance(seconds: 1)

    rtc.reset()

    #expect(!line.isAsserted)
    #expect(register(0x0B) == 0x02)
    #expect(register(0x00) == 0x59)
    #expect(register(0x40) == 0x55)
  }
}
