import Interrupts
import Testing

/// Who is told that something is pending.
@Suite struct FLICWakeTests {
  private let bench = FLICBench()
  private var flic: FloatingInterruptController { bench.flic }

  private func attach(_ targets: [FakeTarget]) -> [FakeTarget] {
    for target in targets { flic.attach(target) }
    return targets
  }

  @Test func anIdleProcessorIsWokenBeforeOthers() throws {
    let targets = attach([FakeTarget(), FakeTarget(.idle), FakeTarget(.idle)])

    for _ in 0..<3 { try flic.enqueue(.serviceSignal(parameter: 1)) }

    #expect(targets.map(\.wakes) == [0, 3, 0])
  }

  @Test func anIdleProcessorThatCannotTakeItIsNotWokenBeforeOneThatCan() throws {
    let targets = attach([
      FakeTarget(.idle, .external), FakeTarget(.idle, .io(isc: 2)), FakeTarget(.idle, .io(isc: 3)),
    ])

    try flic.enqueue(.io(IOInterrupt(subchannel: 1, isc: 3)))
    try flic.enqueue(.io(IOInterrupt(subchannel: 1, isc: 2)))
    try flic.enqueue(.virtio(.init()))

    #expect(targets.map(\.wakes) == [1, 1, 1])
  }

  @Test func withoutAnIdleOneTheyTakeTurns() throws {
    let targets = attach([FakeTarget(), FakeTarget(.stopped), FakeTarget(), FakeTarget()])

    for _ in 0..<7 { try flic.enqueue(.serviceSignal(parameter: 1)) }

    #expect(targets.map(\.wakes) == [3, 0, 2, 2])
  }

  @Test func ifNoIdleOneCanTakeItTheNextInTurnIsWoken() throws {
    let targets = attach([FakeTarget(.idle, []), FakeTarget(.running, [])])

    for _ in 0..<3 { try flic.enqueue(.serviceSignal(parameter: 1)) }

    #expect(targets.map(\.wakes) == [2, 1])
  }

  @Test func ifAllAreStoppedNobodyIsWokenAndItRemainsPending() throws {
    let targets = attach([FakeTarget(.stopped), FakeTarget(.stopped)])

    try flic.enqueue(.serviceSignal(parameter: 1))
    try bench.enqueue(Record.io(1, isc: 1) + Record.io(2, isc: 1))

    #expect(targets.map(\.wakes) == [0, 0])
    #expect(flic.pendingCount == 3)
  }

  @Test func withoutProcessorsItRemainsPending() throws {
    try flic.enqueue(.serviceSignal(parameter: 1))
    try bench.enqueue(Record.io(1, isc: 1) + Record.io(2, isc: 1))

    #expect(flic.pendingCount == 3)
  }

  @Test func aBatchWakesAsManyAsItCanKeepBusy() throws {
    let targets = attach([FakeTarget(), FakeTarget(.idle), FakeTarget(.stopped), FakeTarget(.idle)])

    try bench.enqueue(Record.io(1, isc: 1) + Record.io(2, isc: 1))
    #expect(targets.map(\.wakes) == [0, 1, 0, 1])
    try bench.enqueue((0..<100 as Range<UInt16>).flatMap { Record.io($0, isc: 1) })

    #expect(targets.map(\.wakes) == [1, 2, 0, 2])
  }

  @Test func aBatchGoesRoundLikeSingleOnes() throws {
    let targets = attach([FakeTarget(), FakeTarget(), FakeTarget()])

    try bench.enqueue(Record.io(1, isc: 1) + Record.io(2, isc: 1))
    try flic.enqueue(.serviceSignal(parameter: 1))
    try bench.enqueue(Record.io(1, isc: 1) + Record.io(2, isc: 1))

    #expect(targets.map(\.wakes) == [2, 2, 1])
  }

  @Test func whatIsRefusedWakesNobody() throws {
    let targets = attach([FakeTarget(.idle)])

    #expect(throws: FLICError.invalid) {
      try bench.enqueue(Record.service(8) + Record.external(0xFFFE_0001, 0, 0))
    }

    #expect(targets.map(\.wakes) == [0])
  }

  @Test func anAdaptersInterruptWakesUnlessItIsSuppressed() throws {
    let targets = attach([FakeTarget(.idle, .io(isc: 4))])
    try flic.register(IOAdapter(id: 1, isc: 4, isSuppressible: true))
    try bench.set(9, [4, 0, 0, 1])

    for _ in 0..<3 { try flic.inject(adapter: 1) }

    #expect(targets.map(\.wakes) == [1])
  }

  @Test func aDetachedProcessorIsNotWoken() throws {
    let targets = attach([FakeTarget(.idle), FakeTarget()])
    flic.detach(targets[0])

    try flic.enqueue(.serviceSignal(parameter: 1))

    #expect(targets.map(\.wakes) == [0, 1])
  }

  @Test func aProcessorMayTakeItWhileItIsWoken() throws {
    let target = attach([FakeTarget(.idle)])[0]
    target.onWake { [weak flic] in _ = flic?.dequeue() }

    try flic.enqueue(.serviceSignal(parameter: 1))
    try bench.enqueue(Record.io(1, isc: 1) + Record.service(1))

    #expect(target.wakes == 2)
    #expect(flic.pendingCount == 1)
  }
}
