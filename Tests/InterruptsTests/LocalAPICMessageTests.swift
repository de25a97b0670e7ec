import DeviceModel
import Interrupts
import TestSupport
import Testing

/// Whom a message or an IPI reaches.
@Suite struct LocalAPICMessageTests {
  let bench = LocalAPICBench(4)

  @Test(arguments: 0..<4)
  func aPhysicalDestinationIsOneProcessor(index: Int) {
    #expect(bench.message(0x41, to: UInt64(index)) == .delivered)

    #expect(bench.pending(0x41) == [index])
  }

  @Test func nobodyAnswersToAnotherID() {
    #expect(bench.message(0x41, to: 4) == .ignored)
    #expect(bench.message(0x41, to: 0xFE) == .ignored)
  }

  @Test(arguments: [UInt64(0), 4])
  func allOnesGoToEverybody(mode: UInt64) {
    #expect(bench.message(0x41, to: 0xFF, bits: mode) == .delivered)
    #expect(bench.pending(0x41) == [0, 1, 2, 3])
    #expect(bench.message(0x41, to: 0xFF, bits: mode) == .coalesced)

    _ = bench.all[2].acknowledgeInterrupt()
    #expect(bench.message(0x41, to: 0xFF, bits: mode) == .delivered)
  }

  private static let elsewhere: [(address: UInt64, data: UInt32)] = [
    (0xFED0_0000, 0x41), (0x1_FEE0_0000, 0x41), (0, 0x41), (.max, 0x41),
    (0xFEE0_0000, 0x341), (0xFEE0_0000, 0x641), (0xFEE0_0000, 0x8041),
  ]

  @Test(arguments: elsewhere)
  func whatIsNoMessageIsIgnored(address: UInt64, data: UInt32) {
    let delivery = bench.all.deliver(InterruptMessage(address: address, data: data))

    #expect(delivery == .ignored)
    #expect((0..<4).allSatisfy { !bench.all[$0].hasWork })
  }

  @Test func theFlatModelIsOneBitAProcessor() {
    for index in 0..<4 { bench.write(0xD0, 1 << UInt64(24 + index), index) }

    #expect(bench.message(0x41, to: 0b1010, bits: 4) == .delivered)
    #expect(bench.message(0x51, to: 0x10, bits: 4) == .ignored)

    #expect(bench.pending(0x41) == [1, 3])
  }

  @Test func theClusterModelIsClusterAndMembers() {
    for index in 0..<4 {
      bench.write(0xE0, 0x0FFF_FFFF, index)
      bench.write(0xD0, UInt64(index / 2) << 28 | 1 << UInt64(24 + index % 2), index)
    }

    bench.message(0x41, to: 0x13, bits: 4)
    bench.message(0x51, to: 0x02, bits: 4)

    #expect(bench.pending(0x41) == [2, 3])
    #expect(bench.pending(0x51) == [1])
  }

  @Test func thereAreNoOtherModels() {
    bench.write(0xE0, 0x5FFF_FFFF)
    bench.write(0xD0, 0xFF00_0000)

    #expect(bench.message(0x41, to: 0x0F, bits: 4) == .ignored)
  }

  @Test func anX2APICTakesShortLogicalDestinationsAsItsFirstClusters() throws {
    for index in 0..<4 { try bench.enterX2APIC(index) }

    bench.message(0x41, to: 0b0110, bits: 4)
    bench.message(0x51, to: 0xFF)
    bench.message(0x61, to: 3)

    #expect(bench.pending(0x41) == [1, 2])
    #expect(bench.pending(0x51) == [0, 1, 2, 3])
    #expect(bench.pending(0x61) == [3])
  }

  @Test func theLowestPriorityTakesIt() {
    for (index, priority) in [0x30, 0x20, 0x10, 0x20].enumerated() {
      bench.write(0x80, UInt64(priority), index)
    }

    #expect(bench.message(0x141, to: 0xFF, bits: 4) == .delivered)
    bench.message(0x51, to: 0xFF, bits: 8)

    #expect(bench.pending(0x41) == [2])
    #expect(bench.pending(0x51) == [2])
  }

  @Test func equalsTakeTurns() {
    let taken = (0x40..<0x48).map { (vector: UInt32) in
      bench.message(0x100 | vector, to: 0xFF)
      return bench.pending(UInt8(vector))
    }

    #expect(taken == [[1], [2], [3], [0], [1], [2], [3], [0]])
  }

  @Test func onlyThoseThatAreAddressedTakePartInAnArbitration() {
    for index in 0..<4 { bench.write(0xD0, 1 << UInt64(24 + index), index) }
    bench.write(0xF0, 0xFF, 2)

    for vector: UInt32 in 0x40..<0x44 { bench.message(0x100 | vector, to: 0b0101, bits: 4) }

    #expect((UInt8(0x40)..<0x44).map { bench.pending($0) } == [[0], [0], [0], [0]])
    #expect(bench.message(0x150, to: 0b0100, bits: 4) == .ignored)
  }

  @Test func oneThatIsSwitchedOffHearsNothing() throws {
    try bench.all[1].writeBase(0xFEE0_0000)

    #expect(bench.message(0x41, to: 1) == .ignored)
    #expect(bench.message(0x400, to: 1) == .ignored)
    bench.message(0x51, to: 0xFF)

    #expect(bench.pending(0x51) == [0, 2, 3])
    #expect(!bench.all[1].hasWork)
  }

  @Test func aMessageCanBringAnyEvent() {
    bench.message(0x400, to: 1)
    bench.message(0x200, to: 2)
    bench.message(0x8500, to: 3)
    #expect(!bench.all[3].hasWork)
    bench.message(0x500, to: 3)

    #expect(bench.all[1].takeEvents().nmi)
    #expect(bench.all[2].takeEvents().smi)
    #expect(bench.all[3].takeEvents().initReceived)
  }
}
