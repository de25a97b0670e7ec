import DeviceModel
import Interrupts
import TestSupport
import Testing

/// Interrupts between processors.
@Suite struct LocalAPICIPITests {
  let bench = LocalAPICBench(4)

  @Test func anIPIReachesItsDestination() {
    bench.send(0x4041, to: 2, from: 1)

    #expect(bench.pending(0x41) == [2])
    #expect(bench.wakes(2) == 1)
    #expect(bench.read(0x300, 1) == 0x4041)
    #expect(bench.read(0x310, 1) == 2 << 24)
  }

  private static let shorthands: [(shorthand: UInt64, expected: [Int])] = [
    (1, [1]), (2, [0, 1, 2, 3]), (3, [0, 2, 3]),
  ]

  @Test(arguments: shorthands)
  func aShorthandNeedsNoDestination(shorthand: UInt64, expected: [Int]) {
    bench.send(shorthand << 18 | 0x41, to: 3, from: 1)

    #expect(bench.pending(0x41) == expected)
    #expect(bench.wakes(1) == 0)
  }

  @Test(arguments: [UInt64(0x4141), 0xC_4141])
  func theLowestPriorityOfTheOthersTakesIt(command: UInt64) {
    bench.write(0x80, 0xF0, 0)
    bench.write(0x80, 0xF0, 2)
    bench.write(0x80, command == 0x4141 ? 0xF0 : 0x00, 1)

    bench.send(command, to: 0xFF, from: 1)

    #expect(bench.pending(0x41) == [3])
  }

  @Test func anIPIIsAnEdgeWhateverItSays() {
    bench.send(0xC041, to: 2)

    #expect(bench.read(0x1A0, 2) == 0)
    #expect(bench.pending(0x41) == [2])
  }

  @Test func theDestinationCanBeLogical() {
    for index in 0..<4 { bench.write(0xD0, 1 << UInt64(24 + index), index) }

    bench.send(0x4841, to: 0b1001)

    #expect(bench.pending(0x41) == [0, 3])
  }

  @Test func oneSwitchedOffBySoftwareCanSend() {
    bench.write(0xF0, 0xFF, 1)

    bench.send(0x4041, to: 2, from: 1)

    #expect(bench.pending(0x41) == [2])
  }

  @Test func noneForNobody() {
    bench.send(0x4041, to: 9)
    bench.send(0x4341, to: 1)
    bench.send(0x4741, to: 1)

    #expect(bench.pending(0x41) == [])
    #expect((0..<4).allSatisfy { !bench.all[$0].hasWork })
    #expect(bench.errors() == 0)
  }

  @Test func processorsAreStartedByInitAndStartUp() {
    bench.send(0xC_4500)
    bench.send(0xC_8500)
    bench.send(0xC_4609)
    bench.send(0xC_460A)

    var expected = LocalAPICEvents()
    expected.initReceived = true
    expected.startUpVector = 9
    #expect(bench.all[0].takeEvents().isEmpty)
    #expect((1..<4).map { bench.all[$0].takeEvents() } == Array(repeating: expected, count: 3))
    #expect((0..<4).map { bench.wakes($0) } == [0, 2, 2, 2])
  }

  @Test func initDropsWhatCameBefore() {
    bench.send(0x4609, to: 1)
    bench.send(0x4400, to: 1)
    bench.send(0x4200, to: 1)

    bench.send(0x4500, to: 1)

    var expected = LocalAPICEvents()
    expected.initReceived = true
    #expect(bench.all[1].takeEvents() == expected)
  }

  @Test func theLevelDeassertOfInitMeansNothing() {
    bench.send(0x8500, to: 1)

    #expect(!bench.all[1].hasWork)
  }

  @Test(arguments: [(UInt64(0x4_4400), true, false), (0x8_4200, false, true)])
  func anEventCanBeOnesOwn(command: UInt64, nmi: Bool, smi: Bool) {
    bench.send(command)

    let events = bench.apic.takeEvents()
    #expect(events.nmi == nmi)
    #expect(events.smi == smi)
  }

  @Test(arguments: [0x4_4500, 0x4_0608] as [UInt64])
  func aProcessorDoesNotResetItself(command: UInt64) {
    bench.send(command)
    #expect(!bench.apic.hasWork)
  }

  @Test func x2APICDestinationsHave32Bits() throws {
    for index in 0..<4 { try bench.enterX2APIC(index) }
    let apic = bench.apic

    try apic.writeMSR(0x830, 2 << 32 | 0x41)
    try apic.writeMSR(0x830, 0xFF << 32 | 0x51)
    try apic.writeMSR(0x830, 0xFFFF_FFFF << 32 | 0x61)
    try apic.writeMSR(0x830, 0b1100 << 32 | 0x871)
    try apic.writeMSR(0x830, 0x1_0001 << 32 | 0x881)
    try apic.writeMSR(0x830, 0xFFFF_FFFF << 32 | 0x891)

    #expect(bench.pending(0x41) == [2])
    #expect(bench.pending(0x51) == [])
    #expect(bench.pending(0x61) == [0, 1, 2, 3])
    #expect(bench.pending(0x71) == [2, 3])
    #expect(bench.pending(0x81) == [])
    #expect(bench.pending(0x91) == [0, 1, 2, 3])
    #expect(try apic.readMSR(0x830) == 0xFFFF_FFFF << 32 | 0x891)
  }

  @Test func x2APICClustersHaveSixteenMembers() throws {
    let bench = LocalAPICBench(40)
    for index in 0..<40 { try bench.enterX2APIC(index) }

    try bench.apic.writeMSR(0x830, 0x2_0081 << 32 | 0x841)

    #expect(try bench.all[39].readMSR(0x80D) == 0x2_0080)
    #expect(bench.pending(0x41) == [32, 39])
  }

  @Test func modesCanBeMixed() throws {
    try bench.enterX2APIC(0)
    bench.write(0xD0, 0x0400_0000, 2)

    try bench.apic.writeMSR(0x830, 2 << 32 | 0x41)
    try bench.apic.writeMSR(0x830, 4 << 32 | 0x851)
    try bench.apic.writeMSR(0x830, 0x100 << 32 | 0x861)
    bench.send(0x4071, to: 0, from: 3)

    #expect(bench.pending(0x41) == [2])
    #expect(bench.pending(0x51) == [2])
    #expect(bench.pending(0x61) == [])
    #expect(bench.pending(0x71) == [0])
  }

  @Test func theSelfInterruptIsOneWrite() throws {
    try bench.enterX2APIC()

    try bench.apic.writeMSR(0x83F, 0x41)

    #expect(bench.apic.acknowledgeInterrupt() == 0x41)
    #expect(try bench.apic.readMSR(0x830) == 0)
  }
}
