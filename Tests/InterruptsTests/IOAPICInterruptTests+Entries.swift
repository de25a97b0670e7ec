import DeviceModel
import Interrupts
import Synchronization
import Testing

/// What changes, refusals and reports of entries do.
extension IOAPICInterruptTests {
  // MARK: Changes of the trigger

  @Test func anEdgeForAMomentEndsALevel() {
    bench.setEntry(16, 0x41 | IOAPICBench.level)
    bench.set(16, true)

    bench.setEntry(16, 0x41 | IOAPICBench.masked)
    #expect(bench.entry(16) == 0x41 | IOAPICBench.masked)
    #expect(bench.takeVectors() == [0x41])
    bench.setEntry(16, 0x41 | IOAPICBench.level)

    #expect(bench.takeVectors() == [0x41])
  }

  @Test func aModeWithoutAVectorEndsALevel() {
    bench.setEntry(16, 0x41 | IOAPICBench.level)
    bench.set(16, true)

    bench.setEntry(16, 0x400 | IOAPICBench.level)

    #expect(bench.entry(16) & IOAPICBench.remoteIRR == 0)
  }

  @Test func anAssertedPinThatBecomesAnEdgeIsNoEdge() {
    bench.setEntry(16, 0x41 | IOAPICBench.level | IOAPICBench.masked)
    bench.set(16, true)

    bench.setEntry(16, 0x41)

    #expect(bench.takeVectors() == [])
  }

  @Test func anAssertedPinThatBecomesALevelIsSent() {
    bench.setEntry(16, 0x41)
    bench.set(16, true)

    bench.setEntry(16, 0x41 | IOAPICBench.level)

    #expect(bench.takeVectors() == [0x41, 0x41])
  }

  @Test func aNewVectorInServiceIsTheOneThatEndsIt() {
    bench.setEntry(16, 0x41 | IOAPICBench.level)
    bench.set(16, true)
    bench.setEntry(16, 0x51 | IOAPICBench.level)

    bench.chip.endOfInterrupt(vector: 0x41)
    #expect(bench.takeVectors() == [0x41])

    bench.chip.endOfInterrupt(vector: 0x51)
    #expect(bench.takeVectors() == [0x51])
  }

  @Test func aRiseThatNobodyHasSeenIsJudgedByTheEntryBeforeTheWrite() {
    bench.setEntry(4, 0x31 | IOAPICBench.masked)
    bench.levels.set(4, true)

    bench.setEntry(4, 0x31)
    bench.chip.refresh()

    #expect(bench.takeVectors() == [])
  }

  // MARK: Refusals

  @Test func aLevelThatNobodyTakesIsNotInService() {
    bench.setEntry(16, 0x41 | IOAPICBench.level)
    bench.processors.outcome = .ignored
    bench.set(16, true)
    #expect(bench.takeVectors() == [0x41])
    #expect(bench.entry(16) == 0x41 | IOAPICBench.level | IOAPICBench.sendPending)

    bench.processors.outcome = .delivered
    bench.setEntry(16, 0x01_00_0000_0000_0041 | IOAPICBench.level)

    #expect(bench.takeVectors() == [0x41])
    #expect(bench.entry(16) & IOAPICBench.remoteIRR != 0)
  }

  @Test func anEdgeThatNobodyTakesIsLost() {
    bench.setEntry(4, 0x31)
    bench.processors.outcome = .ignored
    bench.set(4, true)
    #expect(bench.takeVectors() == [0x31])

    bench.processors.outcome = .delivered
    bench.chip.refresh()

    #expect(bench.takeVectors() == [])
    #expect(bench.chip.pins[4].counters.ignored == 1)
    #expect(bench.chip.pins[4].counters.delivered == 0)
  }

  @Test func aRefusedLevelWhoseEntryHasChangedMeanwhileIsSentByTheNewOne() {
    bench.setEntry(16, 0x41 | IOAPICBench.level)
    bench.processors.outcome = .ignored
    bench.processors.whenDelivering { [unowned bench] in
      bench.setEntry(16, 0x51 | IOAPICBench.level)
      bench.processors.outcome = .delivered
    }

    bench.set(16, true)

    #expect(bench.takeVectors() == [0x41, 0x51])
    #expect(bench.entry(16) & IOAPICBench.remoteIRR != 0)
  }

  @Test func aRefusalThatComesAfterTheNextMessageClearsNothing() {
    bench.setEntry(16, 0x41 | IOAPICBench.level)
    bench.processors.outcome = .ignored
    bench.processors.whenDelivering { [unowned bench] in
      bench.processors.outcome = .delivered
      bench.chip.endOfInterrupt(vector: 0x41)
    }

    bench.set(16, true)

    #expect(bench.takeVectors() == [0x41, 0x41])
    #expect(bench.entry(16) & IOAPICBench.remoteIRR != 0)
  }

  @Test func aSecondEndOfTheSameInterruptDoesNotEndTheNext() {
    bench.setEntry(16, 0x41 | IOAPICBench.level)
    let depth = Mutex(0)
    bench.devices.whenAcknowledged { [unowned bench] _ in
      let isFirst = depth.withLock { depth in
        depth += 1
        return depth == 1
      }
      if isFirst { bench.chip.endOfInterrupt(vector: 0x41) }
    }
    bench.set(16, true)

    bench.chip.endOfInterrupt(vector: 0x41)

    #expect(bench.takeVectors() == [0x41, 0x41])
    #expect(bench.entry(16) & IOAPICBench.remoteIRR != 0)
  }

  // MARK: Redirection told to others

  @Test func aChangedMessageIsToldBeforeItIsSent() {
    let log = Mutex<[String]>([])
    let bench = bench
    bench.setEntry(16, 0x41 | IOAPICBench.level | IOAPICBench.masked)
    bench.set(16, true)
    bench.chip.whenRedirectionChanges { [unowned bench] in
      // Whoever looks meanwhile does not send it either.
      bench.chip.refresh()
      log.withLock { $0.append("told \(bench.chip.messages[16]?.data ?? 0)") }
    }
    bench.processors.whenDelivering { log.withLock { $0.append("sent") } }

    bench.write(0x00, 0x30)
    bench.write(0x10, 0x51 | IOAPICBench.level)

    #expect(log.withLock { $0 } == ["told \(0xC051)", "sent"])
    #expect(bench.takeVectors() == [0x51])
  }

  @Test func anEdgeThatComesWhileAChangeIsToldIsSentAfterIt() {
    let bench = bench
    bench.setEntry(4, 0x31)
    bench.chip.whenRedirectionChanges { [unowned bench] in
      bench.pulse(4)
      bench.pulse(4)
      #expect(bench.takeVectors() == [])
      #expect(bench.chip.pins[4].isPending)
      #expect(bench.chip.pins[4].entry.isSendPending)
      #expect(bench.chip.state.pendingEdges == 1 << 4)
    }

    bench.write(0x00, 0x18)
    bench.write(0x10, 0x32)

    #expect(bench.takeVectors() == [0x32])
    #expect(bench.chip.pins[4].counters.coalesced == 1)
    #expect(!bench.chip.pins[4].isPending)
  }

  @Test func otherPinsSendWhileAChangeIsTold() {
    let bench = bench
    bench.setEntry(4, 0x31)
    bench.chip.whenRedirectionChanges { [unowned bench] in
      bench.pulse(4)
      #expect(bench.takeVectors() == [0x31])
    }

    bench.setEntry(5, 0x32)

    #expect(bench.takeVectors() == [])
  }

  @Test func onlyAChangeOfTheMessageIsTold() {
    let told = Mutex(0)
    bench.setEntry(4, 0x31)
    bench.chip.whenRedirectionChanges { told.withLock { $0 += 1 } }

    bench.setEntry(4, 0x31 | IOAPICBench.masked)
    bench.setEntry(4, 0x31 | IOAPICBench.activeLow)
    bench[0x00] = 0x0700_0000
    #expect(told.withLock { $0 } == 0)

    bench.setEntry(4, 0x31 | IOAPICBench.level)
    #expect(told.withLock { $0 } == 1)

    bench.setEntry(4, 0x01_00_0000_0000_0031 | IOAPICBench.level)
    #expect(told.withLock { $0 } == 2)
  }

  // MARK: State and counters

  @Test func countersTellWhatHappened() {
    bench.setEntry(16, 0x41 | IOAPICBench.level)
    bench.set(16, true)
    bench.chip.endOfInterrupt(vector: 0x41)
    bench.processors.outcome = .coalesced
    bench.chip.endOfInterrupt(vector: 0x41)
    bench.set(16, false)

    let pin = bench.chip.pins[16]
    #expect(pin.counters.raised == 1)
    #expect(pin.counters.delivered == 2)
    #expect(pin.counters.coalesced == 1)
    #expect(pin.counters.ended == 2)
    #expect(pin.counters.ignored == 0)
    #expect(!pin.isAsserted)
    #expect(pin.entry.remoteIRR)
    #expect(bench.chip.pins.count == 24)
  }

  @Test func aSavedStateGoesOnWhereItWas() {
    bench[0x00] = 0x0B00_0000
    bench.setEntry(4, 0x31)
    bench.set(4, true)
    bench.setEntry(16, 0x0200_0000_0000_0041 | IOAPICBench.level)
    bench.set(16, true)
    bench.write(0x00, 0x12)
    let state = bench.chip.state

    let other = IOAPICBench()
    other.levels.set(4, true)
    other.levels.set(16, true)
    other.chip.state = state

    #expect(other.chip.state == state)
    #expect(other.takeVectors() == [])
    #expect(other.read(0x00) == 0x12)
    other.chip.endOfInterrupt(vector: 0x41)
    #expect(other.takeVectors() == [0x41])
  }

  @Test func whatIsDueInARestoredStateIsSent() {
    var state = bench.chip.state
    state.entries[4] = RedirectionEntry(rawValue: 0x31)
    state.entries[5] = RedirectionEntry(rawValue: 0x32)
    state.entries[16] = RedirectionEntry(rawValue: 0x41 | IOAPICBench.level)
    state.pendingEdges = 1 << 4
    bench.levels.set(5, true)
    bench.levels.set(16, true)

    bench.chip.state = state

    #expect(bench.takeVectors() == [0x31, 0x32, 0x41])
  }

  @Test func aStateThatCannotBeIsMadePossible() {
    bench.chip.state = IOAPICState(
      index: 0x10,
      id: 0xFF,
      arbitrationID: 0xFF,
      entries: [RedirectionEntry(rawValue: .max), RedirectionEntry(rawValue: 0x4031)],
      pendingEdges: .max,
      levels: .max
    )

    let state = bench.chip.state
    #expect(state.id == 0x0F)
    #expect(state.arbitrationID == 0x0F)
    #expect(state.entries.count == 24)
    #expect(state.entries[1].rawValue == 0x31)
    #expect(state.entries[2] == .reset)
    #expect(state.levels == 0)
    #expect(bench.takeVectors() == [0x31])
  }

  @Test func moreEntriesThanThereArePinsAreIgnored() {
    var state = bench.chip.state
    state.entries = Array(repeating: RedirectionEntry(rawValue: 0x31), count: 100)

    bench.chip.state = state

    #expect(bench.chip.state.entries.count == 24)
  }
}
