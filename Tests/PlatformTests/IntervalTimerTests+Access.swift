import DeviceModel
import HostOS
import Platform
import TestSupport
import Testing

/// How counts are written and read, and port B.
extension IntervalTimerTests {
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
}
