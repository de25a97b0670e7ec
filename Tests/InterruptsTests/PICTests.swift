import DeviceModel
import Synchronization
import Testing

@testable import Interrupts

/// The two 8259As as a guest and a processor see them.
@Suite struct PICTests {
  let bench = PICBench()

  // MARK: Initialisation

  @Test func nothingIsRequestedBeforeInitialisation() {
    bench.set(1, true)
    #expect(!bench.chips.isRequesting)

    bench.write(0x21, 0x00)
    bench.write(0x20, 0x11)
    bench.write(0x21, 0x30)
    bench.write(0x21, 0x04)
    #expect(!bench.chips.isRequesting)
    #expect(bench.outputs == [])
  }

  @Test func initialisationForgetsEdgesAndKeepsLevels() {
    bench.start()
    bench.write(0x4D0, 0x20)
    bench.set(1, true)
    bench.set(5, true)

    bench.start()

    #expect(bench.registers(0x20) == [0x20, 0x00, 0x00])
    #expect(bench.takeVectors() == [0x35])
    bench.set(1, false)
    bench.set(1, true)
    #expect(bench.takeVectors() == [0x31])
  }

  @Test func initialisationResetsAllElse() {
    bench.start()
    bench.set(3, true)
    _ = bench.chips.acknowledge()
    bench.write(0x21, 0xFF)
    bench.write(0x20, 0x68)
    bench.write(0x20, 0xC2)
    bench.write(0x20, 0x0B)

    bench.write(0x20, 0x11)

    let state = bench.chips.state.primary
    #expect(state.inService == 0)
    #expect(state.mask == 0)
    #expect(state.lowestPriority == 7)
    #expect(!state.masksSpecially)
    #expect(!state.readsInService)
  }

  /// KVM's chips forget no edge, and a state of theirs may have some whose line is down.
  @Test func anEdgeThatWasKeptElsewhereComesOnce() {
    bench.start()
    var state = bench.chips.state
    state.primary.edges = 1 << 3
    state.primary.latchedEdges = 1 << 3
    state.secondary.edges = 1 << 1
    state.secondary.latchedEdges = 1 << 1 | 1 << 5

    bench.chips.state = state

    #expect(bench.chips.state.secondary.latchedEdges == 1 << 1)
    #expect(bench.takeVectors() == [0x39])
    bench.write(0xA0, 0x20)
    bench.write(0x20, 0x20)
    #expect(bench.takeVectors() == [0x33])
    bench.write(0x20, 0x20)
    #expect(bench.takeVectors() == [])
    #expect(bench.chips.state.primary.latchedEdges == 0)
    bench.set(3, true)
    bench.set(3, false)
    #expect(!bench.chips.isRequesting)
  }

  @Test func aSingleChipHasNoThirdWordAndNoneNeedsTheFourth() {
    bench.write(0x20, 0x12)
    bench.write(0x21, 0x47)
    bench.set(1, true)

    #expect(bench.takeVectors() == [0x41])

    bench.write(0x20, 0x10)
    bench.write(0x21, 0x50)
    bench.write(0x21, 0x04)
    bench.set(0, true)
    #expect(bench.takeVectors() == [0x50])

    bench.write(0x20, 0x13)
    bench.write(0x21, 0x60)
    #expect(!bench.chips.isRequesting)
    bench.write(0x21, 0x01)
    bench.set(3, true)
    #expect(bench.takeVectors() == [0x63])
  }

  @Test func oneWriteOfSeveralBytesIsSeveralWrites() {
    bench.write(0x20, 0x3011, width: 2)
    bench.write(0x21, 0x04)
    bench.write(0x21, 0x01)
    bench.set(6, true)

    #expect(bench.read(0x20, width: 4) == 0xFFFF_0040)
    #expect(bench.takeVectors() == [0x36])
  }

  // MARK: Requests

  @Test func anEdgeIsOneInterrupt() {
    bench.start()

    bench.set(4, true)
    #expect(bench.chips.isRequesting)
    #expect(bench.chips.acknowledge() == 0x34)

    #expect(!bench.chips.isRequesting)
    #expect(bench.registers(0x20) == [0x00, 0x10, 0x00])
    bench.write(0x20, 0x20)
    #expect(bench.takeVectors() == [])
    #expect(bench.outputs == [true, false])
  }

  @Test func anEdgeThatFallsBeforeItIsAcknowledgedIsSpurious() {
    bench.start()
    bench.set(4, true)
    bench.set(4, false)
    #expect(!bench.chips.isRequesting)

    #expect(bench.chips.acknowledge() == 0x37)

    #expect(bench.registers(0x20) == [0x00, 0x00, 0x00])
    #expect(bench.chips.spuriousCount == 1)
    #expect(bench.chips.pins[4].counters.withdrawn == 1)
  }

  @Test func aSecondEdgeInServiceComesAfterTheEnd() {
    bench.start()
    bench.set(4, true)
    _ = bench.chips.acknowledge()
    bench.set(4, false)
    bench.set(4, true)
    #expect(!bench.chips.isRequesting)
    #expect(bench.registers(0x20) == [0x10, 0x10, 0x00])

    bench.write(0x20, 0x20)

    #expect(bench.takeVectors() == [0x34])
  }

  @Test func aLevelComesAgainUntilItFalls() {
    bench.start()
    bench.write(0x4D0, 0x10)
    bench.set(4, true)

    #expect(bench.chips.acknowledge() == 0x34)
    bench.write(0x20, 0x64)
    #expect(bench.chips.acknowledge() == 0x34)
    bench.set(4, false)
    bench.write(0x20, 0x64)

    #expect(bench.takeVectors() == [])
  }

  @Test func aMaskedEdgeWaitsForItsMaskToGo() {
    bench.start()
    bench.write(0x21, 0x10)
    bench.set(4, true)
    #expect(!bench.chips.isRequesting)
    #expect(bench.registers(0x20) == [0x10, 0x00, 0x10])

    bench.write(0x21, 0x00)

    #expect(bench.takeVectors() == [0x34])
  }

  @Test func aPinThatBecomesALevelHasNoEdgeLeft() {
    bench.start()
    bench.set(4, true)
    bench.write(0x4D0, 0x10)
    bench.write(0x4D0, 0x00)

    #expect(bench.takeVectors() == [])
  }

  @Test func someInputsAreEdgesAlways() {
    bench.write(0x4D0, 0xFFFF, width: 2)

    #expect(bench.read(0x4D0) == 0xF8)
    #expect(bench.read(0x4D1) == 0xDE)
    #expect(bench.read(0x4D0, width: 4) == 0xFFFF_DEF8)
  }

  @Test func theCascadePinCannotBeRaised() {
    bench.start()

    bench.set(2, true)

    #expect(!bench.chips.isRequesting)
    #expect(bench.chips.pins[2].counters.raised == 0)
  }

  // MARK: Priorities

  @Test func lowerInputsAreMoreUrgent() {
    bench.start()
    for pin in [7, 3, 12, 0, 8] { bench.levels.set(pin, true) }
    bench.chips.refresh()

    #expect(bench.chips.acknowledge() == 0x30)
    #expect(!bench.chips.isRequesting)
    bench.write(0x20, 0x20)
    #expect(bench.chips.acknowledge() == 0x38)
    bench.write(0xA0, 0x20)
    bench.write(0x20, 0x20)
    #expect(bench.chips.acknowledge() == 0x3C)
    bench.write(0xA0, 0x20)
    bench.write(0x20, 0x20)
    #expect(bench.chips.acknowledge() == 0x33)
    bench.write(0x20, 0x20)
    #expect(bench.chips.acknowledge() == 0x37)
  }

  @Test func whatIsMoreUrgentInterruptsWhatIsInService() {
    bench.start()
    bench.set(5, true)
    bench.set(6, true)
    #expect(bench.takeVectors() == [0x35])

    bench.set(1, true)

    #expect(bench.takeVectors() == [0x31])
    #expect(bench.registers(0x20) == [0x40, 0x22, 0x00])
    bench.write(0x20, 0x20)
    #expect(bench.registers(0x20) == [0x40, 0x20, 0x00])
  }

  @Test func aSpecificEndEndsThatOne() {
    bench.start()
    bench.set(5, true)
    _ = bench.chips.acknowledge()
    bench.set(1, true)
    _ = bench.chips.acknowledge()

    bench.write(0x20, 0x65)

    #expect(bench.registers(0x20)[1] == 0x02)
    #expect(bench.devices.acknowledged == [.pic(5)])
  }

  @Test func endsOfNothingDoNothing() {
    bench.start()

    bench.write(0x20, 0x20)
    bench.write(0x20, 0x63)
    bench.write(0x20, 0xA0)
    bench.write(0x20, 0x40)

    #expect(bench.devices.acknowledged == [])
    #expect(bench.chips.state.primary.lowestPriority == 7)
  }

  @Test func rotationOnAnEndMakesItsInputTheLeastUrgent() {
    bench.start()
    bench.set(3, true)
    _ = bench.chips.acknowledge()
    bench.set(3, false)
    bench.write(0x20, 0xA0)
    for pin in [3, 4, 1] { bench.levels.set(pin, true) }
    bench.chips.refresh()

    #expect(bench.chips.acknowledge() == 0x34)
    bench.write(0x20, 0x64)
    #expect(bench.chips.acknowledge() == 0x31)
    bench.write(0x20, 0x61)
    #expect(bench.chips.acknowledge() == 0x33)
  }

  @Test func theSpecificRotationDoesTooEvenIfNothingEnds() {
    bench.start()
    bench.set(3, true)
    _ = bench.chips.acknowledge()

    bench.write(0x20, 0xE3)
    #expect(bench.registers(0x20)[1] == 0)
    #expect(bench.chips.state.primary.lowestPriority == 3)
    bench.write(0x20, 0xE5)
    #expect(bench.chips.state.primary.lowestPriority == 5)
  }

  @Test func thePriorityCanBeSet() {
    bench.start()
    bench.write(0x20, 0xC4)
    bench.set(4, true)
    bench.set(5, true)
    #expect(bench.chips.acknowledge() == 0x35)

    bench.write(0x20, 0x65)

    #expect(bench.chips.acknowledge() == 0x34)
  }

  @Test(arguments: 0..<8)
  func everyPriorityGoesRoundAllInputs(lowest: Int) {
    bench.start(primaryMode: 0x03)
    bench.write(0x20, 0xC0 | UInt64(lowest))
    for pin in [0, 1, 3, 4, 5, 6, 7] { bench.levels.set(pin, true) }
    bench.chips.refresh()

    let order = (1...8).map { (lowest + $0) & 7 }.filter { $0 != 2 }
    #expect(bench.takeVectors() == order.map { 0x30 + UInt8($0) })
  }
}
