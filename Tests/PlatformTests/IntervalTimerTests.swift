import DeviceModel
import HostOS
import Platform
import TestSupport
import Testing

/// The interval timer's counters through their ports.
@Suite struct IntervalTimerTests {
  private let line = RecordingLine()
  private let clock = ManualClock()
  private let timer: IntervalTimer

  init() { timer = IntervalTimer(line: line, clock: clock) }

  // MARK: Doing as a driver does

  /// Programs a counter, both bytes of its count if it takes both.
  private func program(_ counter: UInt64, mode: UInt64, count: UInt64, bytes: UInt64 = 3) {
    timer.write(3, counter << 6 | bytes << 4 | mode << 1)
    if bytes & 1 != 0 { timer.write(counter, count & 0xFF) }
    if bytes & 2 != 0 { timer.write(counter, count >> 8) }
  }

  /// Programs the third counter in `mode` with its gate open, and lets the count be loaded.
  private func start(mode: UInt64, count: UInt64) {
    timer.write(0, 1, region: 1)
    program(2, mode: mode, count: count)
    advance(ticks: 1)
  }

  /// Lets ticks of the chip's clock pass.
  private func advance(ticks: UInt64) {
    let frequency = IntervalTimer.frequency
    let now = clock.monotonic
    let tick = now / 1_000_000_000 * frequency + now % 1_000_000_000 * frequency / 1_000_000_000
    let end = tick + ticks
    let rest = (end % frequency * 1_000_000_000 + frequency - 1) / frequency
    clock.advance(nanoseconds: end / frequency * 1_000_000_000 + rest - now)
  }

  private func count(_ counter: UInt64) -> UInt64 {
    timer.write(3, counter << 6)
    let low = timer.read(counter)
    return low | timer.read(counter) << 8
  }

  private func status(_ counter: UInt64) -> UInt64 {
    timer.write(3, 0xE0 | 2 << counter)
    return timer.read(counter)
  }

  /// The third counter's output.
  private var output: Bool { timer.read(0, region: 1) & 0x20 != 0 }

  private func setGate(_ level: Bool) { timer.write(0, level ? 1 : 0, region: 1) }

  /// The third counter's output at each of the next ticks, `#` for high.
  private func outputs(_ ticks: Int) -> String {
    var outputs = ""
    for _ in 0..<ticks {
      outputs += output ? "#" : "_"
      advance(ticks: 1)
    }
    return outputs
  }

  /// The third counter's values at each of the next ticks.
  private func counts(_ ticks: Int) -> [UInt64] {
    (0..<ticks).map { _ in
      defer { advance(ticks: 1) }
      return count(2)
    }
  }

  // MARK: Modes

  @Test func mode0GoesHighOnceWhenTheCountIsZero() {
    start(mode: 0, count: 4)

    #expect(outputs(8) == "____####")
  }

  @Test func mode0CountsOnFromTheTopAfterZero() {
    start(mode: 0, count: 2)

    #expect(counts(5) == [2, 1, 0, 0xFFFF, 0xFFFE])
    advance(ticks: 0x1_0000)
    #expect(output)
  }

  @Test func aNewMode0CountStartsAnew() {
    start(mode: 0, count: 2)
    advance(ticks: 2)
    #expect(output)

    timer.write(2, 0x03)
    // The first byte of two stops the counting and lowers the output.
    #expect(!output)
    advance(ticks: 10)
    #expect(count(2) == 0)
    timer.write(2, 0x00)
    advance(ticks: 1)

    #expect(outputs(5) == "___##")
  }

  @Test func mode0StandsStillWhileTheGateIsLow() {
    start(mode: 0, count: 4)
    advance(ticks: 1)
    setGate(false)
    advance(ticks: 100)
    #expect(count(2) == 3)
    #expect(!output)

    setGate(true)

    #expect(outputs(5) == "___##")
  }

  @Test func aCountThatIsWrittenWithTheGateLowWaitsForIt() {
    program(2, mode: 0, count: 2)
    advance(ticks: 100)
    #expect(count(2) == 2)

    setGate(true)

    #expect(outputs(4) == "__##")
  }

  @Test func mode1IsLowForItsCountAfterEachTrigger() {
    program(2, mode: 1, count: 3)
    advance(ticks: 5)
    #expect(output)

    setGate(true)
    #expect(outputs(6) == "#___##")
    setGate(false)
    #expect(outputs(2) == "##")
    setGate(true)
    #expect(outputs(3) == "#__")
    setGate(false)
    setGate(true)
    // Triggered once more while it is low, it stays low.
    #expect(outputs(5) == "____#")
  }

  @Test func aNewMode1CountWaitsForTheNextTrigger() {
    program(2, mode: 1, count: 3)
    setGate(true)
    advance(ticks: 1)
    timer.write(2, 0x01)
    timer.write(2, 0x00)
    #expect(status(2) & 0x40 != 0)
    #expect(outputs(4) == "___#")

    setGate(false)
    setGate(true)

    #expect(outputs(3) == "#_#")
  }

  @Test func aTriggerWithoutACountDoesNothing() {
    timer.write(3, 0xB2)

    setGate(true)

    #expect(outputs(3) == "###")
  }

  @Test func mode2IsLowForTheLastTickOfEachPeriod() {
    start(mode: 2, count: 4)

    #expect(outputs(9) == "###_###_#")
    #expect(counts(5) == [3, 2, 1, 4, 3])
  }

  @Test func mode6IsMode2() {
    start(mode: 6, count: 3)

    #expect(outputs(6) == "##_##_")
    #expect(status(2) & 0x3F == 0x3C)
  }

  @Test func aNewMode2CountComesWithTheNextPeriod() {
    start(mode: 2, count: 4)
    advance(ticks: 1)
    timer.write(2, 0x02)
    timer.write(2, 0x00)
    #expect(status(2) & 0x40 != 0)

    #expect(outputs(7) == "##_#_#_")
    #expect(status(2) & 0x40 == 0)
  }

  @Test func aSecondCountBeforeTheFirstIsLoadedReplacesIt() {
    setGate(true)
    program(2, mode: 2, count: 100)
    timer.write(2, 0x02)
    timer.write(2, 0x00)
    advance(ticks: 1)

    #expect(outputs(4) == "#_#_")
  }

  @Test func mode2IsHighWhileTheGateIsLowAndStartsAnewWithIt() {
    start(mode: 2, count: 4)
    advance(ticks: 3)
    #expect(!output)

    setGate(false)
    #expect(output)
    advance(ticks: 50)
    #expect(count(2) == 1)
    timer.write(2, 0x03)
    timer.write(2, 0x00)
    setGate(true)
    advance(ticks: 1)

    #expect(outputs(6) == "##_##_")
  }

  @Test func mode3IsASquareWave() {
    start(mode: 3, count: 4)

    #expect(outputs(8) == "##__##__")
    #expect(counts(4) == [4, 2, 4, 2])
  }

  @Test func mode3OfAnOddCountIsHighForOneTickMore() {
    start(mode: 3, count: 5)

    #expect(outputs(10) == "###__###__")
    #expect(counts(5) == [4, 2, 0, 4, 2])
  }

  @Test func mode7IsMode3() {
    start(mode: 7, count: 2)

    #expect(outputs(4) == "#_#_")
  }

  @Test func aNewMode3CountComesWithTheNextHalf() {
    start(mode: 3, count: 8)
    advance(ticks: 1)
    timer.write(2, 0x04)
    timer.write(2, 0x00)
    #expect(outputs(9) == "###__##__")

    // And if the low half is the one that ends, with a high one.
    timer.write(2, 0x06)
    timer.write(2, 0x00)
    advance(ticks: 2)
    #expect(outputs(12) == "___###___###")
  }

  @Test func mode3IsHighWhileTheGateIsLow() {
    start(mode: 3, count: 8)
    advance(ticks: 5)
    setGate(false)
    #expect(outputs(10) == "##########")

    setGate(true)
    advance(ticks: 1)

    #expect(outputs(8) == "####____")
  }

  @Test func mode4IsLowForOneTick() {
    start(mode: 4, count: 3)

    #expect(outputs(6) == "###_##")
    #expect(status(2) == 0xB8)
    advance(ticks: 0x1_0000 - 4)
    #expect(outputs(6) == "######")
  }

  @Test func mode5IsLowForOneTickAfterEachTrigger() {
    program(2, mode: 5, count: 2)
    #expect(outputs(4) == "####")

    setGate(true)
    #expect(outputs(5) == "###_#")
    setGate(false)
    setGate(true)
    #expect(outputs(5) == "###_#")
  }

  @Test(arguments: [UInt64(2), 3])
  func aCountOf1InAPeriodicModeIsTakenFor2(mode: UInt64) {
    start(mode: mode, count: 1)

    #expect(outputs(4) == "#_#_")
  }

  @Test func zeroIsTheLargestCount() {
    start(mode: 0, count: 0)

    #expect(count(2) == 0)
    advance(ticks: 0xFFFF)
    #expect(!output)
    #expect(count(2) == 1)
    advance(ticks: 1)
    #expect(output)
  }

  // MARK: Decimal

  @Test func aDecimalCountCountsInDecimal() {
    setGate(true)
    timer.write(3, 0xB1)
    timer.write(2, 0x00)
    timer.write(2, 0x10)
    advance(ticks: 1)

    #expect(count(2) == 0x1000)
    advance(ticks: 1)
    #expect(count(2) == 0x0999)
    advance(ticks: 999)
    #expect(count(2) == 0x0000)
    #expect(output)
    advance(ticks: 1)
    #expect(count(2) == 0x9999)
  }

  @Test func zeroIsTenThousandInDecimal() {
    setGate(true)
    timer.write(3, 0xB1)
    timer.write(2, 0x00)
    timer.write(2, 0x00)
    advance(ticks: 10_000)
    #expect(!output)

    advance(ticks: 1)

    #expect(output)
  }

  @Test func digitsThatThereAreNotCountSomehow() {
    setGate(true)
    timer.write(3, 0xB1)
    timer.write(2, 0xFF)
    timer.write(2, 0xFF)
    advance(ticks: 1)

    #expect(count(2) == 0x6665)
  }

  // MARK: Bytes and latches

  @Test func oneByteIsEnoughIfTheControlWordSaysSo() {
    setGate(true)
    program(2, mode: 2, count: 0x34, bytes: 1)
    advance(ticks: 1)
    #expect(timer.read(2) == 0x34)
    #expect(timer.read(2) == 0x34)

    program(2, mode: 2, count: 0x1200, bytes: 2)
    advance(ticks: 1)
    #expect(timer.read(2) == 0x12)
    advance(ticks: 1)
    #expect(timer.read(2) == 0x11)
  }

  @Test func bothBytesAreReadInTurnFromTheRunningCount() {
    start(mode: 2, count: 0x1234)

    #expect(timer.read(2) == 0x34)
    #expect(timer.read(2) == 0x12)
    advance(ticks: 1)
    #expect(timer.read(2) == 0x33)
    #expect(timer.read(2) == 0x12)
  }

  @Test func aLatchedCountStandsUntilItIsRead() {
    start(mode: 2, count: 0x1234)
    timer.write(3, 0x80)
    advance(ticks: 10)
    timer.write(3, 0x80)

    #expect(timer.read(2) == 0x34)
    advance(ticks: 10)
    #expect(timer.read(2) == 0x12)
    #expect(timer.read(2) == 0x20)
  }

  @Test func aControlWordForgetsWhatWasLatched() {
    start(mode: 2, count: 0x1234)
    timer.write(3, 0xC8)
    program(2, mode: 2, count: 0x55, bytes: 1)
    advance(ticks: 1)

    #expect(timer.read(2) == 0x55)
  }

  @Test func readBackLatchesCountAndStatusOfSeveralCounters() {
    program(0, mode: 2, count: 0x1000)
    program(1, mode: 4, count: 0x2000)
    start(mode: 3, count: 0x3000)
    timer.write(3, 0xCE)
    advance(ticks: 100)

    #expect([timer.read(0), timer.read(0), timer.read(0)] == [0xB4, 0x00, 0x10])
    #expect([timer.read(1), timer.read(1), timer.read(1)] == [0xB8, 0x00, 0x20])
    #expect([timer.read(2), timer.read(2), timer.read(2)] == [0xB6, 0x00, 0x30])
  }

  @Test func readBackLatchesOnlyWhatItNames() {
    program(0, mode: 2, count: 0x1000)
    start(mode: 3, count: 0x3000)
    timer.write(3, 0xD8)
    advance(ticks: 100)

    #expect(timer.read(0) == 0x9C)
    #expect([timer.read(2), timer.read(2)] == [0x00, 0x30])
  }

  @Test func aStatusIsNotLatchedTwice() {
    setGate(true)
    program(2, mode: 0, count: 10)
    timer.write(3, 0xE8)
    advance(ticks: 100)
    timer.write(3, 0xE8)

    #expect(timer.read(2) == 0x70)
    #expect(status(2) == 0xB0)
  }

  @Test func theCountIsNullUntilItIsLoaded() {
    setGate(true)
    timer.write(3, 0xB0)
    #expect(status(2) == 0x70)
    timer.write(2, 100)
    timer.write(2, 0)
    #expect(status(2) == 0x70)

    advance(ticks: 1)

    #expect(status(2) == 0x30)
  }

  @Test func aControlWordKeepsTheValueThatShows() {
    start(mode: 2, count: 0x1234)
    timer.write(3, 0xB0)
    advance(ticks: 10)

    #expect(count(2) == 0x1234)
  }

  @Test func theControlPortCannotBeRead() {
    #expect(timer.read(3) == 0)
    #expect(timer.read(4) == 0)
    #expect(timer.read(0, region: 2) == 0)
  }

  @Test func oneReadOfSeveralBytesIsSeveralReads() {
    program(0, mode: 2, count: 0x55, bytes: 1)
    program(1, mode: 2, count: 0x66, bytes: 1)
    advance(ticks: 1)

    #expect(timer.read(0, width: 2) == 0x6655)
  }

  // MARK: Port B

  @Test func portBKeepsItsFourBits() {
    timer.write(0, 0xFF, region: 1)

    #expect(timer.read(0, region: 1) & 0xCF == 0x0F)
  }

  @Test func portBShowsTheRefreshOfTheMemory() {
    let first = timer.read(0, region: 1) & 0x10
    clock.advance(nanoseconds: 15_085)
    let second = timer.read(0, region: 1) & 0x10
    clock.advance(nanoseconds: 15_085)

    #expect(first != second)
    #expect(timer.read(0, region: 1) & 0x10 == first)
  }

  @Test func otherPortsIgnoreWrites() {
    timer.write(1, 0xFF, region: 1)
    timer.write(0, 0xFF, region: 2)
    timer.write(7, 0xFF)

    #expect(timer.read(0, region: 1) & 0x0F == 0)
    #expect(clock.armedCount == 0)
  }

  // MARK: The interrupt

  @Test func nothingIsArmedBeforeTheGuestProgramsTheTimer() {
    #expect(clock.armedCount == 0)
    #expect(!line.isAsserted)

    timer.write(3, 0x34)
    #expect(clock.armedCount == 0)
    start(mode: 2, count: 100)
    #expect(clock.armedCount == 0)
  }

  @Test func mode0RaisesTheLineOnce() {
    program(0, mode: 0, count: 1000)
    #expect(!line.isAsserted)
    advance(ticks: 1000)
    #expect(!line.isAsserted)

    advance(ticks: 1)
    #expect(line.isAsserted)
    #expect(clock.armedCount == 0)
    clock.advance(seconds: 1)
    #expect(line.rises == 1)

    timer.write(0, 0x10)
    #expect(!line.isAsserted)
  }

  @Test func mode2RaisesTheLineEachPeriod() {
    program(0, mode: 2, count: 11_932)
    #expect(line.isAsserted)
    let before = line.rises

    clock.advance(seconds: 1)

    #expect((99...100).contains(line.rises - before))
    #expect(line.isAsserted)
  }

  @Test func mode3IsTheLinesLevel() {
    program(0, mode: 3, count: 1000)
    advance(ticks: 1)
    #expect(line.isAsserted)
    advance(ticks: 500)
    #expect(!line.isAsserted)
    advance(ticks: 500)
    #expect(line.isAsserted)

    #expect(line.rises == 2)
  }

  @Test func mode4RaisesTheLineAfterItsStrobe() {
    program(0, mode: 4, count: 1000)
    let before = line.rises

    advance(ticks: 1001)
    #expect(line.rises == before)
    advance(ticks: 1)

    #expect(line.rises == before + 1)
    #expect(clock.armedCount == 0)
  }

  @Test func aControlWordStopsTheInterrupt() {
    program(0, mode: 2, count: 1000)

    timer.write(3, 0x30)

    #expect(clock.armedCount == 0)
    #expect(!line.isAsserted)
  }

  @Test func readingTheCountLosesNoInterrupt() {
    program(0, mode: 2, count: 1000)
    let before = line.rises
    var counts: [UInt64] = []
    for _ in 0..<100 {
      advance(ticks: 100)
      counts.append(count(0))
    }

    #expect((9...10).contains(line.rises - before))
    #expect(counts.allSatisfy { (1...1000).contains($0) })
  }

  @Test func aNewPeriodIsTheInterruptsToo() {
    program(0, mode: 2, count: 10_000)
    advance(ticks: 5_000)
    timer.write(0, 0xE8)
    timer.write(0, 0x03)
    let before = line.rises

    advance(ticks: 5_001)
    #expect(line.rises == before + 1)
    advance(ticks: 10_000)
    #expect(line.rises == before + 11)
  }

  @Test(arguments: [UInt64(2), 3], [UInt64(1), 2, 3, 10])
  func tinyPeriodsComeNoMoreOftenThanTheHostCanBear(mode: UInt64, count: UInt64) {
    program(0, mode: mode, count: count)
    let before = line.rises

    clock.advance(nanoseconds: 1_000_000)

    #expect((15...20).contains(line.rises - before))
  }

  @Test func aHostThatIsLateLosesNoEdge() {
    let late = LateClock()
    let timer = IntervalTimer(line: line, clock: late)
    timer.write(3, 0x36)
    timer.write(0, 0xE8)
    timer.write(0, 0x03)
    let before = line.rises

    // 3.7 periods on, in the low half, the host comes to it.
    late.advance(nanoseconds: 3_100_000)
    late.expire()

    #expect(line.rises == before + 1)
    #expect(line.isAsserted)
    #expect(late.deadline ?? 0 > late.now)
    late.now = late.deadline ?? 0
    late.expire()
    #expect(line.rises == before + 2)
  }

  /// Whatever the guest does, the timer neither traps nor spins.
  @Test(arguments: [UInt64(1), 2, 3, 4])
  func accessesOfAnyKindLeaveTheTimerAnswering(seed: UInt64) {
    var state = seed
    func random() -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return state >> 32
    }
    for _ in 0..<20_000 {
      let access = BusAccess(
        region: Int(random() % 3),
        offset: random() % 64 == 0 ? .max - random() % 8 : random() % 5,
        width: 1 << Int(random() % 4)
      )
      let mask = UInt64.max >> (64 - 8 * UInt64(access.width))
      if random() % 3 != 0 {
        timer.write((random() << 32 | random()) & mask, access)
      } else {
        #expect(timer.read(access) & ~mask == 0)
      }
      if random() % 4 == 0 { clock.advance(nanoseconds: random() % 200_000) }
    }

    program(0, mode: 0, count: 1000)
    #expect(!line.isAsserted)
    advance(ticks: 1001)
    #expect(line.isAsserted)
  }

  @Test func threadsThatProgramAndExpireLeaveTheTimerGoing() throws {
    let late = LateClock()
    let timer = IntervalTimer(line: line, clock: late)
    var threads: [TestThread] = []
    for seed in 1...3 as ClosedRange<UInt64> {
      threads.append(
        try TestThread {
          for round in 0..<3000 as Range<UInt64> {
            let value = (round &* 0x9E37_79B9 &* seed) >> 7 & 0xFF
            timer.write(round % 5 % 4, value)
            _ = timer.read(round % 4)
            timer.write(0, value, region: 1)
            late.advance(nanoseconds: 10_000)
            late.expire()
          }
        }
      )
    }
    for thread in threads { thread.join() }

    timer.write(3, 0x30)
    #expect(!line.isAsserted)
    #expect(late.deadline == nil)
    timer.write(0, 0x10)
    timer.write(0, 0x00)
    late.now = late.deadline ?? 0
    late.expire()
    #expect(line.isAsserted)
    #expect(late.deadline == nil)
  }

  @Test func aTimerThatOutlivesItsChipDoesNothing() {
    let late = LateClock()
    var timer: IntervalTimer? = IntervalTimer(line: line, clock: late)
    timer?.write(3, 0x34)
    timer = nil

    late.expire()

    #expect(timer == nil)
  }
}

/// A thread that can be kept in an array.
private final class TestThread {
  private var thread: Thread?

  init(_ body: sending @escaping () -> Void) throws { thread = try Thread("test", body) }

  func join() { thread = nil }
}
