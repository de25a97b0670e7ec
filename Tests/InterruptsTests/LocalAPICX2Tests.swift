import DeviceModel
import Interrupts
import TestSupport
import Testing

/// The base register, and the registers as MSRs.
@Suite struct LocalAPICX2Tests {
  let bench = LocalAPICBench(20)

  private var apic: LocalAPIC { bench.all[18] }

  private func enter() throws { try bench.enterX2APIC(18) }

  // MARK: Base

  private static let off: UInt64 = 0xFEE0_0000
  private static let xAPIC: UInt64 = 0xFEE0_0800
  private static let x2APIC: UInt64 = 0xFEE0_0C00
  private static let illegal: UInt64 = 0xFEE0_0400

  private static let steps: [(path: [UInt64], to: UInt64, isLegal: Bool)] = [
    ([], xAPIC, true), ([], x2APIC, true), ([], off, true), ([], illegal, false),
    ([off], off, true), ([off], xAPIC, true), ([off], x2APIC, false), ([off], illegal, false),
    ([x2APIC], x2APIC, true), ([x2APIC], off, true), ([x2APIC], xAPIC, false),
    ([x2APIC], illegal, false), ([x2APIC, off], xAPIC, true),
  ]

  @Test(arguments: steps)
  func modesFollowOneAnotherAsTheManualSays(path: [UInt64], to: UInt64, isLegal: Bool) throws {
    for base in path { try apic.writeBase(base) }
    let before = apic.base

    let result = Result { () throws(MSRFault) in try apic.writeBase(to) }

    #expect(((try? result.get()) != nil) == isLegal)
    #expect(apic.base == (isLegal ? to : before))
  }

  @Test(arguments: [UInt64(1), 0x80, 0x200, 1 << 40, 1 << 63])
  func reservedBitsOfTheBaseFault(bit: UInt64) {
    var options = LocalAPICOptions()
    options.physicalAddressWidth = 40
    let apic = LocalAPICBench(options: options).apic

    #expect(throws: MSRFault(0x1B)) { try apic.writeBase(0xFEE0_0900 | bit) }
    #expect(apic.base == 0xFEE0_0900)
  }

  @Test func withoutX2APICItCannotBeEntered() {
    var options = LocalAPICOptions()
    options.hasX2APIC = false
    let apic = LocalAPICBench(options: options).apic

    #expect(throws: MSRFault(0x1B)) { try apic.writeBase(0xFEE0_0D00) }
  }

  @Test func switchedOffItForgets() throws {
    bench.message(0x41, to: 18)
    bench.write(0x80, 0x20, 18)

    try apic.writeBase(Self.off)
    #expect(!apic.hasPage)
    #expect(!apic.hasWork)
    #expect(bench.read(0x20, 18) == 0xFFFF_FFFF)
    #expect(bench.read(0x20, 18, width: 8) == .max)
    bench.write(0x80, 0x50, 18)
    try apic.writeBase(Self.xAPIC)

    #expect(apic.hasPage)
    #expect([0x20, 0x80, 0xF0].map { bench.read($0, 18) } == [18 << 24, 0, 0xFF])
    #expect(bench.pending(0x41) == [])
  }

  @Test func whatIsThereStaysOnTheWayToX2APIC() throws {
    bench.message(0x41, to: 18)
    bench.write(0x80, 0x20, 18)
    bench.write(0xD0, 0x0400_0000, 18)

    try apic.writeBase(Self.x2APIC)

    #expect(!apic.hasPage)
    #expect(bench.read(0x80, 18) == 0xFFFF_FFFF)
    #expect(try apic.readMSR(0x808) == 0x20)
    #expect(try apic.readMSR(0x802) == 18)
    #expect(try apic.readMSR(0x80D) == 0x1_0004)
    #expect(apic.acknowledgeInterrupt() == 0x41)
  }

  // MARK: MSRs

  @Test(arguments: [UInt64?.none, off])
  func outsideOfX2APICModeEveryMSRFaults(base: UInt64?) throws {
    if let base { try apic.writeBase(base) }

    for index in UInt32(0x800)...0x8FF {
      #expect(throws: MSRFault(index)) { try apic.readMSR(index) }
      #expect(throws: MSRFault(index)) { try apic.writeMSR(index, 0) }
    }
  }

  private static let readable: Set<UInt32> = Set(
    [0x802, 0x803, 0x808, 0x80A, 0x80D, 0x80F] + Array(0x810...0x828)
      + [0x830] + Array(0x832...0x839) + [0x83E]
  )
  private static let writable: Set<UInt32> = Set(
    [0x808, 0x80B, 0x80F, 0x828, 0x830] + Array(0x832...0x838) + [0x83E, 0x83F]
  )

  @Test func whatThereIsToReadAndToWriteIsAsTheTableSays() throws {
    try enter()
    var read: Set<UInt32> = []
    var written: Set<UInt32> = []

    for index in UInt32(0x7F0)...0x910 {
      if (try? apic.readMSR(index)) != nil { read.insert(index) }
      if (try? apic.writeMSR(index, 0)) != nil { written.insert(index) }
    }

    #expect(read == Self.readable)
    #expect(written == Self.writable)
    try apic.writeMSR(0x828, 0)
    #expect(try apic.readMSR(0x828) & 0x80 == 0)
  }

  private static let legalBits: [(index: UInt32, bits: UInt64)] = [
    (0x808, 0xFF), (0x80B, 0), (0x80F, 0x13FF), (0x828, 0), (0x830, 0xFFFF_FFFF_000C_DFFF),
    (0x832, 0x7_10FF), (0x833, 0x1_17FF), (0x834, 0x1_17FF), (0x835, 0x1_F7FF),
    (0x836, 0x1_F7FF), (0x837, 0x1_10FF), (0x838, 0xFFFF_FFFF), (0x83E, 0xB), (0x83F, 0xFF),
  ]

  @Test(arguments: legalBits)
  func eachReservedBitFaults(index: UInt32, bits: UInt64) throws {
    try enter()

    for bit in UInt64(0)..<64 {
      let isLegal = (try? apic.writeMSR(index, 1 << bit)) != nil
      #expect(isLegal == (bits >> bit & 1 != 0), "bit \(bit)")
    }
  }

  @Test func registersAreTheSameAsInThePage() throws {
    try enter()
    try apic.writeMSR(0x808, 0x35)
    try apic.writeMSR(0x835, 0x1_A7FF)
    try apic.writeMSR(0x83E, 0xB)
    try apic.writeMSR(0x832, 0x2_0041)
    try apic.writeMSR(0x838, 100_000)
    bench.clock.advance(nanoseconds: 30_000)
    bench.message(0xC081, to: 18)

    let indices: [UInt32] = [0x803, 0x808, 0x80A, 0x835, 0x83E, 0x838, 0x839, 0x824, 0x81C]
    #expect(
      try indices.map { try apic.readMSR($0) }
        == [0x0105_0014, 0x35, 0x35, 0x1_A7FF, 0xB, 100_000, 70_000, 2, 2]
    )

    #expect(apic.acknowledgeInterrupt() == 0x81)
    #expect(try apic.readMSR(0x814) == 2)
    try apic.writeMSR(0x80B, 0)
    #expect(try apic.readMSR(0x814) == 0)
    #expect(bench.ends.vectors == [0x81])
  }

  @Test func theDeliveryStatusOfACommandIsDropped() throws {
    try enter()

    try apic.writeMSR(0x830, 0x1041)

    #expect(try apic.readMSR(0x830) == 0x41)
  }

  @Test func initKeepsTheMode() throws {
    try enter()

    apic.initialize()

    #expect(apic.base == Self.x2APIC)
    #expect(try apic.readMSR(0x80D) == 0x1_0004)
    #expect(try apic.readMSR(0x80F) == 0xFF)
  }
}
