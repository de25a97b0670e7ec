import DeviceModel
@testable import Interrupts
import Synchronization
import Testing

/// The modes, the acknowledgement and the state.
extension PICTests {
  // MARK: Modes

  @Test func automaticEndLeavesNothingInService() {
    bench.start(primaryMode: 0x03, secondaryMode: 0x03)
    bench.set(4, true)
    bench.set(9, true)

    #expect(bench.takeVectors() == [0x39, 0x34])
    #expect(bench.registers(0x20)[1] == 0)
    #expect(bench.registers(0xA0)[1] == 0)
    #expect(bench.devices.acknowledged == [.pic(9), .pic(4)])
  }

  @Test func automaticEndOfALevelComesAtOnceAgainUnlessTheDeviceLetsGo() {
    bench.start(primaryMode: 0x03)
    bench.write(0x4D0, 0x30)
    bench.devices.whenAcknowledged { [unowned bench] pin in
      if pin == .pic(4) { bench.set(4, false) }
    }
    bench.set(4, true)
    #expect(bench.takeVectors() == [0x34])

    bench.set(5, true)
    #expect(bench.chips.acknowledge() == 0x35)
    #expect(bench.chips.isRequesting)
  }

  @Test func automaticRotationGoesRound() {
    bench.start(primaryMode: 0x03)
    bench.write(0x4D0, 0x38)
    bench.write(0x20, 0x80)
    for pin in [3, 4, 5] { bench.levels.set(pin, true) }
    bench.chips.refresh()

    let vectors = (0..<6).map { _ in bench.chips.acknowledge() }
    #expect(vectors == [0x33, 0x34, 0x35, 0x33, 0x34, 0x35])

    bench.write(0x20, 0x00)
    #expect([bench.chips.acknowledge(), bench.chips.acknowledge()] == [0x33, 0x33])
  }

  @Test func specialMaskModeLetsTheLessUrgentThrough() {
    bench.start()
    bench.set(3, true)
    _ = bench.chips.acknowledge()
    bench.set(6, true)
    bench.write(0x21, 0x08)
    #expect(!bench.chips.isRequesting)

    bench.write(0x20, 0x68)
    #expect(bench.chips.acknowledge() == 0x36)

    // What is masked is not ended by the command that names nothing.
    bench.write(0x20, 0x20)
    bench.write(0x20, 0x20)
    #expect(bench.registers(0x20)[1] == 0x08)
    bench.write(0x20, 0x48)
    bench.write(0x20, 0x20)
    #expect(bench.registers(0x20)[1] == 0)
  }

  @Test func theSecondChipNestsOnlyInSpecialFullyNestedMode() {
    bench.start()
    bench.set(12, true)
    _ = bench.chips.acknowledge()
    bench.set(9, true)
    #expect(!bench.chips.isRequesting)

    bench.start(primaryMode: 0x11)
    bench.set(12, false)
    bench.set(9, false)
    bench.set(12, true)
    _ = bench.chips.acknowledge()
    bench.set(3, true)
    #expect(!bench.chips.isRequesting)
    bench.set(9, true)
    #expect(bench.chips.acknowledge() == 0x39)
    bench.write(0xA0, 0x20)
    #expect(bench.registers(0xA0)[1] == 0x10)
    bench.write(0xA0, 0x20)
    bench.write(0x20, 0x20)
    #expect(bench.chips.acknowledge() == 0x33)
  }

  @Test func whatGoesAwayBeforeTheFirstCycleIsTheFirstsSpuriousOne() {
    bench.start()
    bench.set(12, true)
    bench.levels.set(12, false)

    #expect(bench.chips.acknowledge() == 0x37)

    #expect(bench.registers(0x20)[1] == 0x00)
  }

  @Test func whatGoesAwayBetweenTheCyclesIsTheSecondsSpuriousOne() {
    bench.start()
    var registers = PICPairRegisters()
    registers.state = bench.chips.state
    registers.see(1 << 12)

    let (vector, ending) = registers.acknowledge { 0 }

    #expect(vector == 0x3F)
    #expect(ending?.pin == nil)
    #expect(registers.spurious == 1)
    #expect(registers.state.primary.inService == 0x04)
    #expect(registers.state.secondary.inService == 0x00)
  }

  @Test func theSecondsInputsNeedBothEnds() {
    bench.start()
    bench.set(12, true)
    bench.set(14, true)
    _ = bench.chips.acknowledge()
    #expect(bench.registers(0x20)[1] == 0x04)
    #expect(bench.registers(0xA0)[1] == 0x10)

    bench.write(0xA0, 0x20)
    #expect(!bench.chips.isRequesting)
    bench.write(0x20, 0x20)
    #expect(bench.chips.acknowledge() == 0x3E)
    // The cascade has nobody to be told.
    #expect(bench.devices.acknowledged == [.pic(12)])
  }

  @Test(arguments: [UInt64(0x20), 0x21])
  func aPollAcknowledges(port: UInt64) {
    bench.start()
    bench.write(0x20, 0x0C)
    #expect(bench.read(port) == 0x07)

    bench.set(12, true)
    bench.write(0x20, 0x0F)
    #expect(bench.read(port) == 0x82)
    bench.write(0xA0, 0x0C)
    #expect(bench.read(0xA0) == 0x84)

    #expect(!bench.chips.isRequesting)
    #expect(bench.registers(0x20) == [0x00, 0x04, 0x00])
    #expect(bench.registers(0xA0) == [0x00, 0x10, 0x00])
  }

  @Test func aPollEndsAutomaticallyToo() {
    bench.start(primaryMode: 0x03)
    bench.set(4, true)
    bench.write(0x20, 0x0C)

    #expect(bench.read(0x20) == 0x84)

    #expect(bench.registers(0x20) == [0x00, 0x00, 0x00])
    #expect(bench.devices.acknowledged == [.pic(4)])
  }

  // MARK: Acknowledgement

  @Test func aDeviceThatLetsGoWhenAcknowledgedIsNotHeardAgain() {
    bench.start()
    bench.write(0x4D0, 0x20)
    let seen = Mutex<[Bool]>([])
    bench.devices.whenAcknowledged { [unowned bench] _ in
      bench.chips.refresh()
      seen.withLock { $0.append(bench.chips.isRequesting || !bench.chips.pins[5].isInService) }
      bench.set(5, false)
    }
    bench.set(5, true)
    _ = bench.chips.acknowledge()

    bench.write(0x20, 0x20)

    #expect(seen.withLock { $0 } == [false])
    #expect(bench.outputs == [true, false])
    #expect(!bench.chips.pins[5].isInService)
  }

  @Test func anEndThatComesWhileAnotherIsToldEndsTheNext() {
    bench.start()
    bench.set(5, true)
    _ = bench.chips.acknowledge()
    bench.set(1, true)
    _ = bench.chips.acknowledge()
    let bench = bench
    bench.devices.whenAcknowledged { [unowned bench] pin in
      if pin == .pic(1) { bench.write(0x20, 0x20) }
    }

    bench.write(0x20, 0x20)

    #expect(bench.devices.acknowledged == [.pic(1), .pic(5)])
    #expect(bench.registers(0x20)[1] == 0)
  }

  @Test func initialisationWhileAnEndIsToldLeavesWhatCameSince() {
    bench.start()
    bench.set(5, true)
    _ = bench.chips.acknowledge()
    let bench = bench
    bench.devices.whenAcknowledged { [unowned bench] _ in
      bench.start()
      bench.set(5, false)
      bench.set(5, true)
      _ = bench.chips.acknowledge()
    }

    bench.write(0x20, 0x20)

    #expect(bench.registers(0x20)[1] == 0x20)
  }

  @Test func aChangeMadeWhileTheOutputIsToldIsToldAfterIt() {
    bench.start()
    let log = Mutex<[Bool]>([])
    let bench = bench
    bench.chips.whenOutputChanges { [unowned bench] level in
      if level { bench.write(0x21, 0xFF) }
      log.withLock { $0.append(level) }
    }

    bench.set(5, true)

    #expect(log.withLock { $0 } == [true, false])
    #expect(!bench.chips.isRequesting)
  }

  @Test func nobodyNeedsToListen() {
    let levels = PinLevels()
    let chips = PICPair(levels: levels, acknowledgement: IOAPICBench.Devices())
    for (offset, value) in [(UInt64(0), UInt64(0x11)), (1, 0x30), (1, 4), (1, 3)] {
      chips.write(value, BusAccess(offset: offset, width: 1))
    }
    levels.set(1, true)
    chips.refresh()

    #expect(chips.isRequesting)
    #expect(chips.acknowledge() == 0x31)
    #expect(!chips.isRequesting)
  }

  // MARK: State

  @Test func aSavedStateGoesOnWhereItWas() {
    bench.start()
    bench.write(0x4D0, 0x20)
    bench.write(0x21, 0x40)
    bench.set(4, true)
    bench.set(5, true)
    bench.set(12, true)
    _ = bench.chips.acknowledge()
    let state = bench.chips.state

    let other = PICBench()
    for pin in [4, 5, 12] { other.levels.set(pin, true) }
    other.chips.state = state

    #expect(other.chips.state == state)
    other.write(0xA0, 0x20)
    other.write(0x20, 0x20)
    #expect(other.outputs == [true])
    #expect(other.chips.acknowledge() == 0x34)
    other.write(0x20, 0x20)
    #expect(other.chips.acknowledge() == 0x35)
  }

  @Test func aStateThatCannotBeIsMadePossible() {
    var state = PICPairState()
    state.primary.sequence = .done
    state.primary.vectorBase = 0xFF
    state.primary.lowestPriority = 0xFF
    state.primary.edges = 0xFF
    state.primary.levelTriggered = 0xFF
    state.levels = .max

    bench.chips.state = state

    let restored = bench.chips.state
    #expect(restored.primary.vectorBase == 0xF8)
    #expect(restored.primary.lowestPriority == 7)
    #expect(restored.primary.levelTriggered == 0xF8)
    #expect(restored.levels == 0)
    #expect(!bench.chips.isRequesting)
  }

  @Test func pinsTellHowTheyStand() {
    bench.start()
    bench.write(0x4D1, 0x10)
    bench.write(0x21, 0x20)
    bench.set(5, true)
    bench.set(12, true)
    _ = bench.chips.acknowledge()
    bench.write(0xA0, 0x20)

    let pins = bench.chips.pins
    #expect(pins.count == 16)
    #expect(pins[5].isMasked && pins[5].isRequested && pins[5].isAsserted)
    #expect(pins[5].counters.raised == 1)
    #expect(pins[5].counters.delivered == 0)
    #expect(pins[12].vector == 0x3C)
    #expect(pins[12].isLevelTriggered && pins[12].isRequested && !pins[12].isInService)
    #expect(pins[12].counters.delivered == 1)
    #expect(pins[12].counters.ended == 1)
    #expect(pins[12].counters.withdrawn == 0)
    #expect(pins[2].isInService)
  }
}
