import Interrupts
import Testing

/// All pending interrupts out, and into a fresh controller.
@Suite struct FLICSaveTests {
  @Test(arguments: 0..<20)
  func theOrderIsTheSameOnTheOtherSide(seed: UInt64) throws {
    var random = SeededNumbers(state: seed)
    let here = FLICBench()
    for _ in 0..<300 {
      let value = UInt64.random(in: 0...0xFFFF_FFFF, using: &random)
      let record =
        switch Int.random(in: 0..<8, using: &random) {
        case 0: Record.virtio(value, value << 13)
        case 1: Record.pageFault(value << 7)
        case 2: Record.service(value)
        case 3: Record.machineCheck(value)
        default:
          Record.io(
            UInt16(truncatingIfNeeded: value),
            isc: value >> 16 & 7,
            parameter: value,
            type: value % 0xFFFE_0000
          )
        }
      try here.enqueue(record)
      if value & 3 == 0 { _ = here.flic.dequeue() }
    }
    let stream = try here.all()
    #expect(stream.count == 72 * here.flic.pendingCount)

    let there = FLICBench()
    try there.enqueue(stream)

    #expect(try there.all() == stream)
    while let interrupt = here.flic.dequeue() { #expect(there.flic.dequeue() == interrupt) }
    #expect(there.flic.pendingCount == 0)
  }

  @Test func theMostThatFitsTheInterfaceIsSavedAndRestored() throws {
    let here = FLICBench()
    for number in 0..<266_250 as Range<UInt32> {
      try here.flic.enqueue(
        .io(
          IOInterrupt(
            subchannel: UInt16(truncatingIfNeeded: number),
            isc: UInt8(truncatingIfNeeded: number) & 7,
            parameter: number
          )
        )
      )
    }
    #expect(throws: FLICError.busy) { try here.flic.enqueue(.io(IOInterrupt(adapterOf: 1))) }
    let stream = try here.all()
    let there = FLICBench()

    try there.enqueue(stream)

    #expect(there.flic.pending == here.flic.pending)
  }
}
