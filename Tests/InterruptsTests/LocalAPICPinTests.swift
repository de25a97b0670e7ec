import DeviceModel
import Interrupts
import TestSupport
import Testing

/// LINT0, where the 8259s are, and LINT1, where the NMI is.
@Suite struct LocalAPICPinTests {
  let bench = LocalAPICBench(2)

  @Test func maskedNobodyHearsTheExternalController() {
    bench.setExternal(0x30)

    #expect(!bench.apic.hasWork)
    #expect(bench.wakes() == 0)
  }

  @Test func thoseWhoseEntrySaysSoTakeExternalInterrupts() {
    bench.write(0x350, 0x700, 1)
    bench.setExternal(0x30)

    #expect(!bench.all[0].hasInterrupt)
    #expect(bench.all[1].hasInterrupt)
    #expect(bench.wakes(1) == 1)
    #expect(bench.all[1].acknowledgeInterrupt() == 0x30)
    bench.setExternal(nil)
    #expect(!bench.all[1].hasInterrupt)
    #expect(bench.all[1].state.inServiceVectors == [])
  }

  @Test func anExternalInterruptKnowsNoPriority() {
    bench.write(0x350, 0x700)
    bench.write(0x80, 0xFF)
    bench.message(0x41)
    bench.setExternal(0x08)

    #expect(bench.apic.acknowledgeInterrupt() == 0x08)
    bench.setExternal(nil)
    #expect(bench.apic.acknowledgeInterrupt() == nil)
  }

  @Test func unmaskingFindsTheLevel() {
    bench.setExternal(0x30)

    bench.write(0x350, 0x700)
    #expect(bench.apic.hasInterrupt)
    bench.write(0x350, 0x1_0700)

    #expect(!bench.apic.hasInterrupt)
  }

  @Test func theOtherProcessorWasFaster() {
    for index in 0..<2 { bench.write(0x350, 0x700, index) }
    bench.message(0x41, to: 1)
    bench.setExternal(0x30)

    #expect(bench.all[0].acknowledgeInterrupt() == 0x30)
    #expect(bench.all[1].acknowledgeInterrupt() == 0x41)
    #expect(bench.all[1].acknowledgeInterrupt() == nil)
    #expect(!bench.all[1].hasInterrupt)
    #expect(bench.all[1].counters.acknowledged == 1)
    #expect(bench.all[1].counters.spurious == 2)
  }

  @Test func theLevelThatCountsIsTheSources() {
    bench.write(0x350, 0x700)
    bench.external.request(0x30)

    bench.all.setExternalRequest(false)
    #expect(bench.apic.hasInterrupt)
    bench.external.request(nil)
    bench.all.setExternalRequest(true)

    #expect(!bench.apic.hasInterrupt)
  }

  @Test func withoutASourceThereIsNoVector() {
    let all = LocalAPICs(count: 1, clock: bench.clock)
    all[0].enterVirtualWireMode()
    all.setExternalRequest(true)
    #expect(all[0].hasInterrupt)

    #expect(all[0].acknowledgeInterrupt() == nil)
    #expect(!all[0].hasInterrupt)
  }

  @Test func aMessageCanAskForAnExternalInterrupt() {
    bench.external.request(0x30)

    #expect(bench.message(0x700) == .delivered)
    #expect(bench.message(0x700) == .coalesced)
    #expect(bench.wakes() == 1)
    #expect(bench.apic.acknowledgeInterrupt() == 0x30)
    #expect(!bench.apic.hasInterrupt)

    bench.message(0x700)
    #expect(bench.apic.acknowledgeInterrupt() == nil)
    #expect(!bench.apic.hasInterrupt)
  }

  @Test func withoutALocalAPICThePinsAreTheProcessors() throws {
    try bench.apic.writeBase(0xFEE0_0100)
    bench.setExternal(0x30)
    bench.all.raiseNMI()

    #expect(bench.apic.hasInterrupt)
    #expect(bench.apic.takeEvents().nmi)
    #expect(bench.apic.acknowledgeInterrupt() == 0x30)
    bench.setExternal(nil)
    #expect(bench.apic.acknowledgeInterrupt() == nil)
    #expect(!bench.all[1].hasWork)
  }

  @Test func anEdgeIsAcceptedOnce() {
    bench.write(0x350, 0x41)

    bench.setExternal(0x30)
    #expect(bench.apic.acknowledgeInterrupt() == 0x41)
    bench.write(0xB0, 0)
    #expect(!bench.apic.hasInterrupt)
    bench.setExternal(nil)
    #expect(!bench.apic.hasInterrupt)
    bench.setExternal(0x30)

    #expect(bench.apic.acknowledgeInterrupt() == 0x41)
    #expect(bench.ends.vectors == [])
  }

  @Test func anActiveLowPinRisesAsItFalls() {
    bench.setExternal(0x30)
    bench.write(0x350, 0x2041)
    #expect(!bench.apic.hasInterrupt)

    bench.setExternal(nil)

    #expect(bench.apic.acknowledgeInterrupt() == 0x41)
  }

  @Test func aLevelComesAgainUntilItFalls() {
    bench.write(0x350, 0x8041)
    bench.setExternal(0x30)
    #expect(bench.read(0x350) == 0xC041)

    #expect(bench.apic.acknowledgeInterrupt() == 0x41)
    #expect(!bench.apic.hasInterrupt)
    bench.write(0xB0, 0)
    #expect(bench.read(0x350) == 0xC041)
    #expect(bench.apic.acknowledgeInterrupt() == 0x41)
    bench.setExternal(nil)
    #expect(bench.read(0x350) == 0xC041)
    bench.write(0xB0, 0)

    #expect(bench.read(0x350) == 0x8041)
    #expect(!bench.apic.hasInterrupt)
    #expect(bench.ends.vectors == [0x41, 0x41])
  }

  @Test func theRemoteIRRGoesWithTheLevelMode() {
    bench.write(0x350, 0x8041)
    bench.setExternal(0x30)

    bench.write(0x350, 0xC141)
    #expect(bench.read(0x350) == 0x8141)
  }

  @Test func aLevelOfAnIllegalVectorIsAnError() {
    bench.write(0x350, 0x8005)
    bench.setExternal(0x30)

    #expect(bench.read(0x350) == 0x8005)
    #expect(bench.errors() == 0x40)
  }

  @Test func thePinsCanBringEvents() {
    bench.write(0x350, 0x400)
    bench.setExternal(0x30)
    #expect(bench.apic.takeEvents().nmi)

    bench.write(0x360, 0x200)
    bench.all.raiseNMI()
    #expect(bench.apic.takeEvents().smi)

    bench.write(0x360, 0x500)
    bench.all.raiseNMI()
    #expect(bench.apic.takeEvents().initReceived)
    #expect(!bench.all[1].hasWork)
  }

  @Test(arguments: [UInt64(0x100), 0x300, 0x600, 0x700, 0x1_0400])
  func otherModesBringNothing(entry: UInt64) {
    bench.write(0x360, entry)

    bench.all.raiseNMI()

    #expect(!bench.apic.hasWork)
  }

  @Test func thePlatformsNMIReachesThoseWhoseEntrySaysSo() {
    bench.write(0x360, 0x400)

    bench.all.raiseNMI()

    #expect(bench.apic.takeEvents().nmi)
    #expect(bench.wakes() == 1)
    #expect(!bench.all[1].hasWork)
  }
}
