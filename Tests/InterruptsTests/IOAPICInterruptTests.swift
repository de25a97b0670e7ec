import DeviceModel
import Interrupts
import Synchronization
import Testing

/// What the I/O APIC makes of the levels at its pins.
@Suite struct IOAPICInterruptTests {
  let bench = IOAPICBench()

  // MARK: Edges

  @Test func anEdgeIsOneMessage() {
    bench.setEntry(4, 0x31)

    bench.set(4, true)
    #expect(bench.takeVectors() == [0x31])

    bench.chip.refresh()
    bench.set(4, false)
    #expect(bench.takeVectors() == [])
  }

  @Test func everyEdgeIsAMessageWithoutAnyEnd() {
    bench.setEntry(4, 0x31)

    bench.pulse(4)
    bench.pulse(4)

    #expect(bench.takeVectors() == [0x31, 0x31])
    #expect(bench.entry(4) & IOAPICBench.remoteIRR == 0)
  }

  @Test func anEdgeOnAMaskedPinIsLost() {
    bench.setEntry(4, 0x31 | IOAPICBench.masked)
    bench.set(4, true)
    bench.setEntry(4, 0x31)

    #expect(bench.takeVectors() == [])
    #expect(bench.chip.pins[4].counters.ignored == 1)
    bench.set(4, false)
    bench.set(4, true)
    #expect(bench.takeVectors() == [0x31])
  }

  @Test func polarityDoesNotInvertTheLevel() {
    bench.setEntry(4, 0x31 | IOAPICBench.activeLow)
    #expect(bench.takeVectors() == [])

    bench.set(4, true)

    #expect(bench.takeVectors() == [0x31])
  }

  @Test func theEndOfAnEdgeIsNobodysBusiness() {
    bench.setEntry(4, 0x31)
    bench.set(4, true)

    bench.chip.endOfInterrupt(vector: 0x31)

    #expect(bench.devices.acknowledged == [])
    #expect(bench.takeVectors() == [0x31])
  }

  @Test func pinsThatRiseTogetherAllSend() {
    bench.setEntry(3, 0x33)
    bench.setEntry(9, 0x39 | IOAPICBench.level)
    bench.setEntry(23, 0x47)
    bench.levels.set(3, true)
    bench.levels.set(9, true)
    bench.levels.set(23, true)

    bench.chip.refresh()

    #expect(bench.takeVectors() == [0x33, 0x39, 0x47])
  }

  @Test func pinsBeyondTheLastAreNotLookedAt() {
    bench.set(24, true)
    bench.set(31, true)

    #expect(bench.takeVectors() == [])
    #expect(bench.chip.state.levels == 0)
  }

  @Test(arguments: [UInt64(0x331), 0x631, 0x8331])
  func aReservedDeliveryModeSendsNothing(entry: UInt64) {
    bench.setEntry(4, entry)

    bench.set(4, true)

    #expect(bench.takeVectors() == [])
    #expect(bench.chip.pins[4].counters.ignored == 1)
    bench.setEntry(4, 0x31)
    #expect(bench.takeVectors() == [])
  }

  @Test(arguments: [UInt64(0x8200), 0x8400, 0x8500, 0x8700])
  func modesWithoutAVectorAreEdgesWhateverTheTriggerBitSays(entry: UInt64) {
    bench.setEntry(4, entry)

    bench.set(4, true)
    bench.chip.endOfInterrupt(vector: 0)
    bench.chip.refresh()

    #expect(bench.processors.takeMessages().count == 1)
    #expect(bench.entry(4) == entry)
    #expect(bench.devices.acknowledged == [])
  }

  // MARK: Levels

  @Test func aLevelIsSentOnceAndIsInServiceUntilItsEnd() {
    bench.setEntry(16, 0x41 | IOAPICBench.level)

    bench.set(16, true)
    bench.chip.refresh()

    #expect(bench.takeVectors() == [0x41])
    #expect(bench.entry(16) == 0x41 | IOAPICBench.level | IOAPICBench.remoteIRR)
  }

  @Test func aLevelStillAssertedAtItsEndIsSentAgain() {
    bench.setEntry(16, 0x41 | IOAPICBench.level)
    bench.set(16, true)
    bench.chip.endOfInterrupt(vector: 0x41)

    #expect(bench.takeVectors() == [0x41, 0x41])
    #expect(bench.entry(16) & IOAPICBench.remoteIRR != 0)
    #expect(bench.devices.acknowledged == [.ioAPIC(16)])
  }

  @Test func aLevelThatFellIsNotSentAgain() {
    bench.setEntry(16, 0x41 | IOAPICBench.level)
    bench.set(16, true)
    bench.set(16, false)
    #expect(bench.entry(16) & IOAPICBench.remoteIRR != 0)

    bench.chip.endOfInterrupt(vector: 0x41)

    #expect(bench.takeVectors() == [0x41])
    #expect(bench.entry(16) & IOAPICBench.remoteIRR == 0)
  }

  @Test func aPulseWhileInServiceLeavesNothingPending() {
    bench.setEntry(16, 0x41 | IOAPICBench.level)
    bench.set(16, true)
    bench.set(16, false)
    bench.pulse(16)

    bench.chip.endOfInterrupt(vector: 0x41)

    #expect(bench.takeVectors() == [0x41])
  }

  @Test func theEndRegisterEndsAsTheBroadcastDoes() {
    bench.setEntry(16, 0x41 | IOAPICBench.level)
    bench.set(16, true)
    bench.set(16, false)

    bench.write(0x40, 0x41)

    #expect(bench.entry(16) & IOAPICBench.remoteIRR == 0)
    #expect(bench.devices.acknowledged == [.ioAPIC(16)])
  }

  @Test func anEndOfAnotherVectorEndsNothing() {
    bench.setEntry(16, 0x41 | IOAPICBench.level)
    bench.set(16, true)

    bench.chip.endOfInterrupt(vector: 0x42)
    bench.chip.endOfInterrupt(vector: 0x00)

    #expect(bench.takeVectors() == [0x41])
    #expect(bench.devices.acknowledged == [])
  }

  @Test func anEndWithNothingInServiceIsIgnored() {
    bench.setEntry(16, 0x41 | IOAPICBench.level)

    bench.chip.endOfInterrupt(vector: 0x41)

    #expect(bench.devices.acknowledged == [])
    #expect(bench.takeVectors() == [])
  }

  @Test func anEntryThatChangesInServiceRemembersWhereItsInterruptWent() {
    bench.setEntry(16, 0x41 | IOAPICBench.level)
    #expect(bench.chip.formerMessages.allSatisfy { $0 == nil })
    let sent = bench.chip.messages[16]
    bench.set(16, true)
    #expect(bench.chip.formerMessages[16] == nil)
    bench.setEntry(16, 1 << 56 | 0x41 | IOAPICBench.level)
    #expect(bench.chip.formerMessages[16] == sent)
    #expect(bench.chip.messages[16] != sent)
    bench.set(16, false)
    bench.chip.endOfInterrupt(vector: 0x41)
    #expect(bench.chip.formerMessages[16] == nil)
  }

  @Test func pinsThatShareAVectorEndTogether() {
    bench.setEntry(16, 0x41 | IOAPICBench.level)
    bench.setEntry(17, 0x41 | IOAPICBench.level)
    bench.set(16, true)
    bench.set(17, true)
    bench.set(17, false)

    bench.chip.endOfInterrupt(vector: 0x41)

    #expect(bench.devices.acknowledged == [.ioAPIC(16), .ioAPIC(17)])
    #expect(bench.takeVectors() == [0x41, 0x41, 0x41])
    #expect(bench.entry(17) & IOAPICBench.remoteIRR == 0)
  }

  @Test func aDeviceThatLetsGoWhenAcknowledgedIsNotHeardAgain() {
    bench.setEntry(16, 0x41 | IOAPICBench.level)
    let seen = Mutex<[UInt64]>([])
    bench.devices.whenAcknowledged { [unowned bench] _ in
      seen.withLock { $0.append(bench.entry(16) & IOAPICBench.remoteIRR) }
      bench.chip.refresh()
      bench.set(16, false)
    }
    bench.set(16, true)

    bench.chip.endOfInterrupt(vector: 0x41)

    #expect(bench.takeVectors() == [0x41])
    // Until the devices have been asked it is in service.
    #expect(seen.withLock { $0 } == [IOAPICBench.remoteIRR])
    #expect(bench.entry(16) & IOAPICBench.remoteIRR == 0)
  }

  @Test func aDeviceThatLetsGoAndAsksAgainIsHeardAgain() {
    bench.setEntry(16, 0x41 | IOAPICBench.level)
    bench.devices.whenAcknowledged { [unowned bench] _ in
      bench.set(16, false)
      bench.set(16, true)
    }
    bench.set(16, true)

    bench.chip.endOfInterrupt(vector: 0x41)

    #expect(bench.takeVectors() == [0x41, 0x41])
  }

  @Test func whoIsAcknowledgedNeedDoNothing() {
    let levels = PinLevels()
    let chip = IOAPIC(
      id: 0,
      levels: levels,
      messages: bench.processors,
      acknowledgement: IOAPICBench.Devices()
    )
    chip.write(0x10, BusAccess(offset: 0, width: 4))
    chip.write(0x8041, BusAccess(offset: 0x10, width: 4))
    levels.set(0, true)
    chip.refresh()

    chip.endOfInterrupt(vector: 0x41)

    #expect(bench.takeVectors() == [0x41, 0x41])
  }

  // MARK: Masking

  @Test func aMaskedLevelIsSentWhenItsMaskGoes() {
    bench.setEntry(16, 0x41 | IOAPICBench.level | IOAPICBench.masked)
    bench.set(16, true)
    #expect(bench.takeVectors() == [])
    #expect(bench.entry(16) & IOAPICBench.remoteIRR == 0)

    bench.setEntry(16, 0x41 | IOAPICBench.level)

    #expect(bench.takeVectors() == [0x41])
  }

  @Test func aMaskedLevelThatFellIsNotSent() {
    bench.setEntry(16, 0x41 | IOAPICBench.level | IOAPICBench.masked)
    bench.pulse(16)

    bench.setEntry(16, 0x41 | IOAPICBench.level)

    #expect(bench.takeVectors() == [])
  }

  @Test func aLevelThatIsMaskedInServiceEndsAndComesWhenItsMaskGoes() {
    bench.setEntry(16, 0x41 | IOAPICBench.level)
    bench.set(16, true)
    bench.setEntry(16, 0x41 | IOAPICBench.level | IOAPICBench.masked)
    #expect(bench.entry(16) & IOAPICBench.remoteIRR != 0)

    bench.chip.endOfInterrupt(vector: 0x41)
    #expect(bench.takeVectors() == [0x41])
    #expect(bench.entry(16) & IOAPICBench.remoteIRR == 0)

    bench.setEntry(16, 0x41 | IOAPICBench.level)
    #expect(bench.takeVectors() == [0x41])
  }

  @Test func unmaskingInServiceSendsNothing() {
    bench.setEntry(16, 0x41 | IOAPICBench.level)
    bench.set(16, true)
    bench.setEntry(16, 0x41 | IOAPICBench.level | IOAPICBench.masked)
    bench.setEntry(16, 0x41 | IOAPICBench.level)

    #expect(bench.takeVectors() == [0x41])
  }
}
