import DeviceModel
import Interrupts
import TestSupport
import Testing

/// Pending, in service, priorities, and the end of interrupts.
@Suite struct LocalAPICInterruptTests {
  let bench = LocalAPICBench()

  private var processorPriority: UInt64 { bench.read(0xA0) }

  @Test func aVectorIsPendingThenInServiceThenEnded() {
    #expect(bench.message(0x41) == .delivered)
    #expect(bench.read(0x220) == 1 << 1)
    #expect(bench.apic.hasWork)
    #expect(bench.apic.hasInterrupt)

    #expect(bench.apic.acknowledgeInterrupt() == 0x41)
    #expect(bench.read(0x220) == 0)
    #expect(bench.read(0x120) == 1 << 1)
    #expect(processorPriority == 0x40)
    #expect(!bench.apic.hasWork)

    bench.write(0xB0, 0)
    #expect(bench.read(0x120) == 0)
    #expect(processorPriority == 0)
    #expect(bench.ends.vectors == [])
    var counters = LocalAPICCounters()
    counters.delivered = 1
    counters.acknowledged = 1
    counters.ended = 1
    #expect(bench.apic.counters == counters)
  }

  @Test func aVectorThatIsPendingCoalesces() {
    bench.message(0x41)

    #expect(bench.message(0x41) == .coalesced)

    #expect(bench.apic.acknowledgeInterrupt() == 0x41)
    #expect(bench.apic.acknowledgeInterrupt() == nil)
    #expect(bench.apic.counters.coalesced == 1)
    #expect(bench.apic.counters.spurious == 1)
  }

  @Test func oneInServiceCanBePendingOnceMore() {
    bench.message(0x41)
    _ = bench.apic.acknowledgeInterrupt()

    #expect(bench.message(0x41) == .delivered)
    #expect(!bench.apic.hasInterrupt)

    bench.write(0xB0, 0)
    #expect(bench.apic.hasInterrupt)
    #expect(bench.apic.acknowledgeInterrupt() == 0x41)
  }

  @Test func higherVectorsGoFirst() {
    for vector: UInt32 in [0x21, 0xFE, 0x80, 0x10, 0x81] { bench.message(vector) }

    var taken: [UInt8] = []
    while let vector = bench.apic.acknowledgeInterrupt() {
      taken.append(vector)
      bench.write(0xB0, 0)
    }

    #expect(taken == [0xFE, 0x81, 0x80, 0x21, 0x10])
  }

  @Test func onlyAHigherClassInterruptsAServiceRoutine() {
    bench.message(0x41)
    _ = bench.apic.acknowledgeInterrupt()

    bench.message(0x4F)
    #expect(!bench.apic.hasInterrupt)
    bench.message(0x50)
    #expect(bench.apic.acknowledgeInterrupt() == 0x50)
    #expect(processorPriority == 0x50)

    bench.write(0xB0, 0)
    #expect(processorPriority == 0x40)
    bench.write(0xB0, 0)
    #expect(bench.apic.acknowledgeInterrupt() == 0x4F)
  }

  @Test func theTaskPriorityHoldsItsClassBack() {
    bench.write(0x80, 0x4A)
    bench.message(0x4F)

    #expect(!bench.apic.hasInterrupt)
    #expect(bench.apic.acknowledgeInterrupt() == nil)
    #expect(processorPriority == 0x4A)
    #expect(bench.wakes() == 0)

    bench.write(0x80, 0x3F)
    #expect(bench.apic.acknowledgeInterrupt() == 0x4F)
  }

  @Test func aTaskPriorityThatRisesWithdrawsTheRequest() {
    bench.message(0x4F)
    #expect(bench.apic.hasInterrupt)

    bench.apic.cr8 = 4

    #expect(!bench.apic.hasInterrupt)
    #expect(bench.apic.acknowledgeInterrupt() == nil)
  }

  @Test func theControlRegisterIsTheUpperHalf() {
    bench.write(0x80, 0x6B)
    #expect(bench.apic.cr8 == 6)
    #expect(bench.apic.taskPriority == 0x6B)

    bench.apic.cr8 = 0xFF3
    #expect(bench.read(0x80) == 0x30)

    bench.apic.taskPriority = 0x21
    #expect(bench.read(0x80) == 0x21)
  }

  private static let priorities: [(task: UInt64, processor: UInt64, arbitration: UInt64)] = [
    (0x00, 0x50, 0x60), (0x4F, 0x50, 0x60), (0x53, 0x53, 0x60), (0x6C, 0x6C, 0x6C),
    (0x71, 0x71, 0x71),
  ]

  @Test(arguments: priorities)
  func theProcessorsPriorityIsTheHigherOfTaskAndService(
    task: UInt64,
    processor: UInt64,
    arbitration: UInt64
  ) {
    bench.message(0x55)
    _ = bench.apic.acknowledgeInterrupt()
    bench.message(0x66)

    bench.write(0x80, task)

    #expect(processorPriority == processor)
    #expect(bench.read(0x90) == arbitration)
  }

  @Test func endingNothingDoesNothing() {
    bench.write(0xB0, 0)

    #expect(bench.apic.counters.ended == 0)
    #expect(bench.ends.vectors == [])
  }

  @Test func theEndOfALevelIsBroadcast() {
    bench.message(0xC041)
    bench.message(0x51)
    #expect(bench.read(0x1A0) == 1 << 1)

    #expect(bench.apic.acknowledgeInterrupt() == 0x51)
    bench.write(0xB0, 0)
    #expect(bench.ends.vectors == [])
    #expect(bench.apic.acknowledgeInterrupt() == 0x41)
    bench.write(0xB0, 0)

    #expect(bench.ends.vectors == [0x41])
  }

  @Test func theTriggerModeIsTheLastOnes() {
    bench.message(0xC041)

    bench.message(0x41)

    #expect(bench.read(0x1A0) == 0)
  }

  @Test func softwareCanKeepTheEndFromBeingBroadcast() {
    bench.write(0xF0, 0x11FF)
    bench.message(0xC041)
    _ = bench.apic.acknowledgeInterrupt()

    bench.write(0xB0, 0)

    #expect(bench.ends.vectors == [])
    #expect(bench.apic.counters.ended == 1)
  }

  @Test func theProcessorIsWokenOnceForEachThingToLookAt() {
    bench.message(0x41)
    bench.message(0x51)
    #expect(bench.wakes() == 1)

    bench.message(0x400)
    bench.message(0x400)
    #expect(bench.wakes() == 2)

    _ = bench.apic.takeEvents()
    _ = bench.apic.acknowledgeInterrupt()
    bench.message(0x400)
    bench.message(0x71)
    #expect(bench.wakes() == 4)
  }

  @Test func whatItsOwnAccessesBringAboutDoesNotWake() {
    bench.write(0x80, 0xF0)
    bench.message(0x41)
    bench.write(0x80, 0)
    bench.send(0x4_4042)

    #expect(bench.apic.hasInterrupt)
    #expect(bench.wakes() == 0)
  }

  @Test func eventsAreTakenOnce() {
    bench.message(0x400)
    bench.message(0x200)
    #expect(bench.apic.hasWork)
    #expect(!bench.apic.hasInterrupt)

    var expected = LocalAPICEvents()
    expected.nmi = true
    expected.smi = true
    #expect(bench.apic.takeEvents() == expected)
    #expect(bench.apic.takeEvents().isEmpty)
    #expect(!bench.apic.hasWork)
  }

  @Test func disconnectedItIsSilent() {
    bench.message(0xC041)
    _ = bench.apic.acknowledgeInterrupt()
    let wakes = bench.wakes()

    bench.all.disconnect()
    bench.write(0xB0, 0)
    bench.message(0x51)

    #expect(bench.ends.vectors == [])
    #expect(bench.wakes() == wakes)
  }

  @Test func nothingKeepsTheLocalAPICsAlive() {
    weak var gone: LocalAPICs?
    do {
      let all = LocalAPICs(count: 2, clock: ManualClock())
      gone = all
      all.deliver(InterruptMessage(address: 0xFEE0_0000, data: 0x41))
    }
    #expect(gone == nil)
  }
}
