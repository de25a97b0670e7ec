import DeviceModel
import Interrupts
import TestSupport
import Testing

/// The timer in its three modes.
@Suite struct LocalAPICTimerTests {
  let bench = LocalAPICBench()

  /// Takes and ends an interrupt.
  private func service() -> UInt8? {
    defer { bench.write(0xB0, 0) }
    return bench.apic.acknowledgeInterrupt()
  }

  private static let dividers: [(configuration: UInt64, divider: UInt64)] = [
    (0x0, 2), (0x1, 4), (0x2, 8), (0x3, 16), (0x8, 32), (0x9, 64), (0xA, 128), (0xB, 1),
  ]

  @Test(arguments: dividers)
  func theBusFrequencyIsDivided(configuration: UInt64, divider: UInt64) {
    bench.write(0x3E0, configuration)
    bench.write(0x320, 0x41)
    bench.write(0x380, 1000)

    bench.clock.advance(nanoseconds: 250 * divider)
    #expect(bench.read(0x390) == 750)
    bench.clock.advance(nanoseconds: 750 * divider - 1)
    #expect(bench.read(0x390) == 1)
    #expect(!bench.apic.hasInterrupt)
    bench.clock.advance(nanoseconds: 1)

    #expect(bench.read(0x390) == 0)
    #expect(bench.read(0x380) == 1000)
    #expect(bench.apic.acknowledgeInterrupt() == 0x41)
    #expect(bench.wakes() == 1)
  }

  @Test func undividedATickIsANanosecond() {
    #expect(LocalAPIC.busFrequency == 1_000_000_000)
    bench.write(0x3E0, 0xB)
    bench.write(0x380, 1000)

    bench.clock.advance(nanoseconds: 1)

    #expect(bench.read(0x390) == 999)
  }

  @Test func oneShotComesOnce() {
    bench.write(0x320, 0x41)
    bench.write(0x380, 1000)
    bench.clock.advance(nanoseconds: 2000)
    #expect(service() == 0x41)

    bench.clock.advance(seconds: 1)

    #expect(service() == nil)
    #expect(bench.clock.armedCount == 0)
  }

  @Test func periodicComesAgainAndAgain() {
    bench.write(0x3E0, 0xB)
    bench.write(0x320, 0x2_0041)
    bench.write(0x380, 1_000_000)

    var count = 0
    for _ in 0..<100 {
      bench.clock.advance(nanoseconds: 500_000)
      if service() == 0x41 { count += 1 }
    }

    #expect(count == 50)
    bench.clock.advance(nanoseconds: 250_000)
    #expect(bench.read(0x390) == 750_000)
  }

  @Test func aZeroStopsIt() {
    bench.write(0x320, 0x2_0041)
    bench.write(0x380, 1_000_000)
    bench.write(0x380, 0)

    bench.clock.advance(seconds: 1)

    #expect(!bench.apic.hasInterrupt)
    #expect(bench.read(0x390) == 0)
    #expect(bench.clock.armedCount == 0)
  }

  @Test func aNewCountStartsAnew() {
    bench.write(0x3E0, 0xB)
    bench.write(0x320, 0x41)
    bench.write(0x380, 1_000_000)
    bench.clock.advance(nanoseconds: 900_000)
    bench.write(0x380, 500_000)

    bench.clock.advance(nanoseconds: 499_999)
    #expect(!bench.apic.hasInterrupt)
    bench.clock.advance(nanoseconds: 1)
    #expect(bench.apic.hasInterrupt)
  }

  @Test func aMaskedTimerCountsButCostsTheHostNothing() {
    bench.write(0x3E0, 0xB)
    bench.write(0x320, 0x3_0041)
    bench.write(0x380, 1_000_000)
    #expect(bench.clock.armedCount == 0)

    bench.clock.advance(nanoseconds: 5_300_000)
    #expect(bench.read(0x390) == 700_000)
    bench.write(0x320, 0x2_0041)
    #expect(!bench.apic.hasInterrupt)
    bench.clock.advance(nanoseconds: 700_000)

    #expect(service() == 0x41)
  }

  @Test func anInterruptThatIsNotTakenCostsTheHostNothing() {
    bench.write(0x3E0, 0xB)
    bench.write(0x320, 0x2_0041)
    bench.write(0x380, 1_000_000)

    bench.clock.advance(nanoseconds: 10_400_000)
    #expect(bench.clock.armedCount == 0)
    #expect(bench.wakes() == 1)

    // What expired meanwhile is one interrupt, and the next comes at its own time.
    #expect(service() == 0x41)
    #expect(service() == nil)
    bench.clock.advance(nanoseconds: 599_999)
    #expect(service() == nil)
    bench.clock.advance(nanoseconds: 1)
    #expect(service() == 0x41)
  }

  @Test func aPeriodThatIsTooShortDoesNotSpin() {
    bench.write(0x3E0, 0xB)
    bench.write(0x320, 0x2_0041)
    bench.write(0x380, 1)

    var count = 0
    for _ in 0..<1000 {
      bench.clock.advance(nanoseconds: 1000)
      while service() != nil { count += 1 }
    }

    #expect((45...51).contains(count))
    #expect(bench.read(0x390) == 1)
  }

  @Test func theCountOfAPeriodThatIsLeftOutStillGoesDown() {
    bench.write(0x3E0, 0xB)
    bench.write(0x320, 0x2_0041)
    bench.write(0x380, 6000)
    bench.clock.advance(nanoseconds: 6000)
    #expect(service() == 0x41)

    bench.clock.advance(nanoseconds: 7000)

    #expect(bench.read(0x390) == 5000)
  }

  @Test func anotherDividerGoesOnFromTheCount() {
    bench.write(0x3E0, 0xB)
    bench.write(0x320, 0x41)
    bench.write(0x380, 1000)
    bench.clock.advance(nanoseconds: 400)

    bench.write(0x3E0, 0x1)
    #expect(bench.read(0x390) == 600)
    bench.clock.advance(nanoseconds: 2396)
    #expect(bench.read(0x390) == 1)
    bench.clock.advance(nanoseconds: 4)

    #expect(bench.apic.hasInterrupt)
  }

  @Test func betweenOneShotAndPeriodicTheCountGoesOn() {
    bench.write(0x3E0, 0xB)
    bench.write(0x320, 0x41)
    bench.write(0x380, 100_000)
    bench.clock.advance(nanoseconds: 40_000)

    bench.write(0x320, 0x2_0041)
    #expect(bench.read(0x390) == 60_000)
    bench.clock.advance(nanoseconds: 60_000)
    #expect(service() == 0x41)
    #expect(bench.read(0x390) == 100_000)

    bench.write(0x320, 0x0_0041)
    bench.clock.advance(nanoseconds: 100_000)
    #expect(service() == 0x41)
    bench.write(0x320, 0x2_0041)
    #expect(bench.read(0x390) == 0)
    #expect(bench.clock.armedCount == 0)
  }

  @Test func theReservedModeStands() {
    bench.write(0x320, 0x6_0041)
    bench.write(0x380, 1000)

    bench.clock.advance(seconds: 1)

    #expect(bench.read(0x320) == 0x6_0041)
    #expect(bench.read(0x380) == 0)
    #expect(!bench.apic.hasInterrupt)
  }

  @Test func theTimersModeIsNoDeliveryMode() {
    bench.write(0x320, 0x0_0441)
    bench.write(0x380, 1000)

    bench.clock.advance(seconds: 1)

    #expect(bench.apic.acknowledgeInterrupt() == 0x41)
  }

  // MARK: TSC deadline

  private func setCounter(megahertz: UInt64 = 3000, value: UInt64 = 0) {
    bench.apic.setTimestampCounter(
      TimestampCounter(
        frequency: megahertz * 1000,
        value: value,
        moment: bench.clock.monotonic
      )
    )
  }

  @Test func theDeadlineIsAValueOfTheTimestampCounter() {
    setCounter(value: 1000)
    bench.write(0x320, 0x4_0041)
    bench.apic.tscDeadline = 1000 + 3001
    #expect(bench.apic.tscDeadline == 4001)
    #expect(bench.read(0x390) == 0)

    bench.clock.advance(nanoseconds: 1000)
    #expect(!bench.apic.hasInterrupt)
    bench.clock.advance(nanoseconds: 1)

    #expect(service() == 0x41)
    #expect(bench.apic.tscDeadline == 0)
    bench.clock.advance(seconds: 1)
    #expect(service() == nil)
  }

  @Test(arguments: [UInt64(1), 4999, 5000])
  func aDeadlineThatHasPassedInterruptsAtOnce(deadline: UInt64) {
    setCounter(value: 5000)
    bench.write(0x320, 0x4_0041)

    bench.apic.tscDeadline = deadline

    #expect(service() == 0x41)
    #expect(bench.apic.tscDeadline == 0)
    #expect(bench.clock.armedCount == 0)
  }

  @Test func aZeroDisarmsTheDeadline() {
    setCounter()
    bench.write(0x320, 0x4_0041)
    bench.apic.tscDeadline = 3_000_000
    bench.apic.tscDeadline = 0

    bench.clock.advance(seconds: 1)

    #expect(!bench.apic.hasInterrupt)
  }

  @Test func withoutItsOwnerALocalAPICHasNeitherTimerNorOthers() {
    let clock = ManualClock()
    var all: LocalAPICs? = LocalAPICs(count: 2, clock: clock)
    guard let apic = all?[0] else { return }
    apic.enterVirtualWireMode()
    apic.write(0x2_0041, BusAccess(offset: 0x320, width: 4))
    apic.write(1000, BusAccess(offset: 0x380, width: 4))

    all = nil

    #expect(clock.armedCount == 0)
    clock.advance(seconds: 1)
    apic.write(0xC_4042, BusAccess(offset: 0x300, width: 4))
    apic.write(0x4_4043, BusAccess(offset: 0x300, width: 4))
    #expect(apic.acknowledgeInterrupt() == 0x43)
  }

  @Test func aDeadlineThatNeverComesArmsNothing() {
    setCounter()
    bench.write(0x320, 0x4_0041)

    bench.apic.tscDeadline = .max
    setCounter(megahertz: 1)

    #expect(bench.clock.armedCount == 0)
    #expect(bench.apic.tscDeadline == .max)
  }

  @Test func countAndDeadlineExcludeEachOther() {
    setCounter()
    bench.apic.tscDeadline = 10
    #expect(bench.apic.tscDeadline == 0)

    bench.write(0x320, 0x4_0041)
    bench.write(0x380, 1000)
    #expect(bench.read(0x380) == 0)
    bench.clock.advance(seconds: 1)

    #expect(!bench.apic.hasInterrupt)
  }

  @Test(arguments: [
    (UInt64(0x0_0041), UInt64(0x4_0041)), (0x4_0041, 0x2_0041), (0x2_0041, 0x4_0041),
  ])
  func goingInOrOutOfDeadlineModeDisarms(from: UInt64, to: UInt64) {
    setCounter()
    bench.write(0x320, from)
    bench.write(0x380, 1000)
    bench.apic.tscDeadline = 300_000_000

    bench.write(0x320, to)
    bench.clock.advance(seconds: 1)

    #expect(!bench.apic.hasInterrupt)
    #expect(bench.apic.tscDeadline == 0)
    #expect(bench.clock.armedCount == 0)
  }

  @Test func theDeadlineFollowsACounterThatIsSet() {
    setCounter(megahertz: 1000)
    bench.write(0x320, 0x4_0041)
    bench.apic.tscDeadline = 1_000_000

    setCounter(megahertz: 1000, value: 900_000)
    bench.clock.advance(nanoseconds: 100_000)
    #expect(service() == 0x41)

    bench.apic.tscDeadline = 2_000_000
    setCounter(megahertz: 1000, value: 2_000_000)
    #expect(service() == 0x41)
  }

  @Test func theCounterCanBeAskedBothWays() {
    let counter = TimestampCounter(frequency: 2_500_000, value: 700, moment: 1000)

    #expect(counter.value(atNanoseconds: 1000) == 700)
    #expect(counter.value(atNanoseconds: 0) == 700)
    #expect(counter.value(atNanoseconds: 1003) == 707)
    #expect(counter.nanoseconds(whenValueIs: 700) == 0)
    #expect(counter.nanoseconds(whenValueIs: 705) == 1002)
    #expect(counter.nanoseconds(whenValueIs: 706) == 1003)
    #expect(counter.value(atNanoseconds: .max) != 0)
    let slow = TimestampCounter(frequency: 1, value: 0, moment: 5)
    #expect(slow.nanoseconds(whenValueIs: .max) == .max)
    let fast = TimestampCounter(frequency: .max, value: 0, moment: 0)
    #expect(fast.value(atNanoseconds: .max) == .max)
    let late = TimestampCounter(frequency: 1_000_000, value: 0, moment: .max)
    #expect(late.nanoseconds(whenValueIs: 1) == .max)
  }
}
