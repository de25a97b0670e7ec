import DeviceModel
import Interrupts
import TestSupport
import Testing

/// The error status register, and the interrupt of its own.
@Suite struct LocalAPICErrorTests {
  let bench = LocalAPICBench(2)

  @Test(arguments: UInt32(0)..<16)
  func illegalVectorsAreNeverPending(vector: UInt32) {
    #expect(bench.message(vector) == .ignored)
    #expect(bench.message(0x100 | vector) == .ignored)
    #expect(bench.message(0xC000 | vector) == .ignored)

    #expect(!bench.apic.hasWork)
    #expect(bench.errors() == 0x40)
  }

  @Test func senderAndReceiverNoteAnIllegalVector() {
    bench.send(0x4005, to: 1)

    #expect(bench.errors(0) == 0x20)
    #expect(bench.errors(1) == 0x40)
  }

  @Test func oneToItselfIsBoth() throws {
    bench.send(0x4_4005)
    #expect(bench.errors() == 0x60)

    try bench.enterX2APIC()
    try bench.apic.writeMSR(0x83F, 0x0F)
    try bench.apic.writeMSR(0x828, 0)
    #expect(try bench.apic.readMSR(0x828) == 0x60)
  }

  @Test func eventsNeedNoLegalVector() {
    bench.send(0x4400, to: 1)
    bench.send(0x4603, to: 1)

    #expect(bench.errors(0) == 0)
    #expect(bench.errors(1) == 0)
  }

  @Test func errorsShowAfterAWrite() {
    bench.message(0x05)
    #expect(bench.read(0x280) == 0)

    bench.write(0x280, 0xFFFF_FFFF)
    #expect(bench.read(0x280) == 0x40)
    bench.message(0x05)
    _ = bench.read(0x400)
    #expect(bench.read(0x280) == 0x40)

    #expect(bench.errors() == 0xC0)
    #expect(bench.errors() == 0)
  }

  @Test func anErrorInterruptsOnceUntilTheRegisterIsWritten() {
    bench.write(0x370, 0xE5)

    bench.message(0x05)
    #expect(bench.apic.acknowledgeInterrupt() == 0xE5)
    bench.write(0xB0, 0)
    bench.message(0x05)
    #expect(!bench.apic.hasInterrupt)

    _ = bench.read(0x400)
    #expect(bench.apic.acknowledgeInterrupt() == 0xE5)
    bench.write(0xB0, 0)
    bench.write(0x280, 0)
    bench.message(0x05)
    #expect(bench.apic.hasInterrupt)
  }

  @Test func maskedErrorsAreNotedAllTheSame() {
    bench.write(0x370, 0x1_00E5)

    bench.message(0x05)

    #expect(!bench.apic.hasWork)
    #expect(bench.errors() == 0x40)
  }

  @Test func anErrorOfTheErrorsInterruptDoesNotRecurse() {
    bench.write(0x370, 0x00)

    _ = bench.read(0x400)

    #expect(!bench.apic.hasWork)
    #expect(bench.errors() == 0xC0)
  }

  @Test func anIllegalVectorOfTheTimerIsNotedOnceAndCostsNothing() {
    bench.write(0x320, 0x2_0005)
    bench.write(0x380, 100)

    bench.clock.advance(nanoseconds: 1_000_000)

    #expect(!bench.apic.hasWork)
    #expect(bench.clock.armedCount == 0)
    #expect(bench.errors() == 0x40)
    bench.clock.advance(nanoseconds: 1_000_000)
    #expect(bench.errors() == 0x40)
  }
}
