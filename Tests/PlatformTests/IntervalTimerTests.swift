import DeviceModel
import HostOS
import Platform
import TestSupport
import Testing

/// The interval timer's counters through their ports.
@Suite struct IntervalTimerTests {
  let line = RecordingLine()
  let clock = ManualClock()
  let timer: IntervalTimer

  init() { timer = IntervalTimer(line: line, clock: clock) }

  // MARK: Doing as a driver does

  /// Programs a counter, both bytes of its count if it takes both.
  func program(_ counter: UInt64, mode: UInt64, count: UInt64, bytes: UInt64 = 3) {
    timer.write(3, counter << 6 | bytes << 4 | mode << 1)
    if bytes & 1 != 0 { timer.write(counter, count & 0xFF) }
    if bytes & 2 != 0 { timer.write(counter, count >> 8) }
  }

  /// Programs the third counter in `mode` with its gate open, and lets the count be loaded.
  func start(mode: UInt64, count: UInt64) {
    timer.write(0, 1, region: 1)
    program(2, mode: mode, count: count)
    advance(ticks: 1)
  }

  /// Lets ticks of the chip's clock pass.
  func advance(ticks: UInt64) {
    let frequency = IntervalTimer.frequency
    let now = clock.monotonic
    let tick = now / 1_000_000_000 * frequency + now % 1_000_000_000 * frequency / 1_000_000_000
    let end = tick + ticks
    let rest = (end % frequency * 1_000_000_000 + frequency - 1) / frequency
    clock.advance(nanoseconds: end / frequency * 1_000_000_000 + rest - now)
  }

  func count(_ counter: UInt64) -> UInt64 {
    timer.write(3, counter << 6)
    let low = timer.read(counter)
    return low | timer.read(counter) << 8
  }

  func status(_ counter: UInt64) -> UInt64 {
    timer.write(3, 0xE0 | 2 << counter)
    return timer.read(counter)
  }

  /// The third counter's output.
  var output: Bool { timer.read(0, region: 1) & 0x20 != 0 }

  func setGate(_ level: Bool) { timer.write(0, level ? 1 : 0, region: 1) }

  /// The third counter's output at each of the next ticks, `#` for high.
  func outputs(_ ticks: Int) -> String {
    var outputs = ""
    for _ in 0..<ticks {
      outputs += output ? "#" : "_"
      advance(ticks: 1)
    }
    return outputs
  }

  /// The third counter's values at each of the next ticks.
  func counts(_ ticks: Int) -> [UInt64] {
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
}
