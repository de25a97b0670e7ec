import DeviceModel
import HostOS
import Platform
import TestSupport
import Testing

/// What channel 0 does to its line.
extension IntervalTimerTests {
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
