import DeviceModel
import Interrupts
import TestSupport
import Testing

/// Saving a local APIC and putting it back.
@Suite struct LocalAPICStateTests {
  let bench = LocalAPICBench(2)
  let other = LocalAPICBench(2)

  private func move() { other.apic.state = bench.apic.state }

  @Test func everythingComesAlong() {
    bench.write(0x80, 0x15)
    bench.write(0xD0, 0x0300_0000)
    bench.write(0xE0, 0)
    bench.write(0xF0, 0x11F0)
    bench.write(0x350, 0x700)
    bench.write(0x370, 0xE5)
    bench.message(0xC081)
    _ = bench.apic.acknowledgeInterrupt()
    bench.message(0x91)
    bench.message(0x05)
    bench.write(0x280, 0)
    bench.send(0x4400)
    bench.send(0x4603)
    _ = bench.read(0x400)
    bench.message(0x700)

    move()

    let state = other.apic.state
    #expect(state == bench.apic.state)
    #expect(state.requestedVectors == [0x91, 0xE5])
    #expect(state.inServiceVectors == [0x81])
    #expect(state.levelTriggeredVectors == [0x81])
    #expect(state.errorStatus == 0x40)
    #expect(state.pendingErrors == 0x80)
    #expect(other.apic.hasInterrupt)
    #expect(other.apic.takeEvents().startUpVector == 3)
    #expect(other.message(0x41, to: 0x02, bits: 4) == .delivered)
  }

  @Test func thePriorityOfAProcessorWhoseLocalAPICIsOffComesAlong() throws {
    try bench.apic.writeBase(0xFEE0_0100)
    bench.apic.cr8 = 8

    move()

    #expect(other.apic.cr8 == 8)
    #expect(other.apic.state == bench.apic.state)
  }

  @Test(arguments: [UInt64(0), 0x2_0000])
  func theTimerGoesOnWhereItWas(mode: UInt64) {
    bench.write(0x3E0, 0xB)
    bench.write(0x320, 0x41 | mode)
    bench.write(0x380, 1_000_000)
    bench.clock.advance(nanoseconds: 300_000)
    other.clock.advance(seconds: 77)

    move()

    #expect(other.read(0x390) == 700_000)
    other.clock.advance(nanoseconds: 699_999)
    #expect(!other.apic.hasInterrupt)
    other.clock.advance(nanoseconds: 1)
    #expect(other.apic.acknowledgeInterrupt() == 0x41)
    #expect(other.read(0x390) == (mode == 0 ? 0 : 1_000_000))
  }

  @Test func aDeadlineStaysAValueOfTheTimestampCounter() {
    bench.write(0x320, 0x4_0041)
    bench.apic.tscDeadline = 80_000_000_000
    other.apic.setTimestampCounter(
      TimestampCounter(frequency: 1_000_000, value: 79_000_000_000, moment: other.clock.monotonic)
    )

    move()

    #expect(other.apic.tscDeadline == 80_000_000_000)
    other.clock.advance(seconds: 1)
    #expect(other.apic.hasInterrupt)
  }

  @Test func aTimerThatExpiredHasInterruptedByThen() {
    bench.write(0x320, 0x1_0041)
    bench.write(0x380, 10)
    bench.clock.advance(seconds: 1)

    #expect(bench.apic.state.timerRemaining == nil)
  }

  @Test func x2APICModeComesAlong() throws {
    try bench.enterX2APIC()

    move()

    #expect(other.apic.base == 0xFEE0_0D00)
    #expect(try other.apic.readMSR(0x80D) == 1)
  }

  @Test func oneThatIsSwitchedOffHasNothingElse() {
    var state = bench.apic.state
    state.base = 0xFEE0_0500
    state.requested[3] = 1
    state.events.nmi = true

    other.apic.state = state

    #expect(other.apic.base == 0xFEE0_0100)
    #expect(other.apic.state.requestedVectors == [])
    #expect(other.apic.takeEvents().nmi)
  }

  @Test func whatNoGuestCanBringAboutIsLeftOut() {
    var state = LocalAPIC.State()
    state.base = .max & ~(1 << 10)
    state.logicalDestination = .max
    state.destinationFormat = 0
    state.spurious = .max
    state.requested = Array(repeating: .max, count: 3)
    state.inService = Array(repeating: .max, count: 20)
    state.triggerMode = []
    state.command = .max
    state.vectors = Array(repeating: .max & ~(1 << 16), count: 30)
    state.divideConfiguration = .max
    state.initialCount = .max
    state.timerRemaining = .max
    state.timestampDeadline = .max

    other.apic.state = state

    #expect(other.apic.base == 0x000F_FFFF_FFFF_F900)
    #expect(other.read(0xD0) == 0xFF00_0000)
    #expect(other.read(0xE0) == 0x0FFF_FFFF)
    #expect(other.read(0xF0) == 0x13FF)
    #expect(other.read(0x200) == 0xFFFF_0000)
    #expect(other.read(0x260) == 0)
    #expect(other.read(0x100) == 0xFFFF_0000)
    #expect(other.read(0x170) == 0xFFFF_FFFF)
    #expect(other.read(0x300) == 0xC_CFFF)
    #expect(other.read(0x320) == 0x6_00FF)
    #expect(other.read(0x350) == 0x0_E7FF)
    #expect(other.read(0x3E0) == 0xB)
    other.clock.advance(seconds: 1000)
  }

  @Test func softwareThatHasItOffHasItsTableMasked() {
    var state = bench.apic.state
    state.spurious = 0xFF
    state.vectors = [0x41]

    other.apic.state = state

    #expect(other.read(0x320) == 0x1_0041)
    #expect(other.read(0x330) == 0x1_0000)
  }
}
