import DeviceModel
import Interrupts
import Testing

/// The I/O APIC's registers as a guest reads and writes them.
@Suite struct IOAPICRegisterTests {
  private let bench = IOAPICBench(id: 5)

  @Test func itIsAVersion20OfTwentyFourPins() {
    #expect(bench[0x01] == 0x0017_0020)
    #expect(IOAPIC.pinCount == 24)
    #expect(IOAPIC.size == 0x1000)
  }

  @Test func theIdentifierIsAsMadeUntilItIsWritten() {
    #expect(bench[0x00] == 0x0500_0000)

    bench[0x00] = 0xFA12_3456

    #expect(bench[0x00] == 0x0A00_0000)
  }

  @Test func theArbitrationIdentifierFollowsTheIdentifier() {
    #expect(bench[0x02] == 0x0500_0000)
    bench[0x00] = 0x0300_0000
    bench[0x02] = 0x0900_0000

    #expect(bench[0x02] == 0x0300_0000)
  }

  @Test func theVersionCannotBeWritten() {
    bench[0x01] = 0xFFFF_FFFF

    #expect(bench[0x01] == 0x0017_0020)
  }

  @Test(arguments: 0..<24)
  func everyEntryIsMaskedAtFirst(pin: Int) {
    #expect(bench.entry(pin) == IOAPICBench.masked)
  }

  @Test(arguments: [UInt64(0x03), 0x0F, 0x40, 0x41, 0xFF])
  func registersThatThereAreNotReadAsZero(index: UInt64) {
    bench[index] = 0xFFFF_FFFF

    #expect(bench[index] == 0)
  }

  @Test func theLastEntryIsTheLast() {
    bench[0x3E] = 0x1_0055
    bench[0x3F] = 0xAB00_0000

    #expect(bench.entry(23) == 0xAB00_0000_0001_0055)
    #expect(bench[0x40] == 0)
  }

  @Test func theIndexHasEightBits() {
    bench.write(0x00, 0xFFFF_FF01)

    #expect(bench.read(0x00) == 0x01)
  }

  @Test func reservedAndReadOnlyBitsOfAnEntryStayZero() {
    bench.setEntry(4, .max)

    #expect(bench.entry(4) == 0xFF00_0000_0001_AFFF)
  }

  @Test func eachHalfOfAnEntryKeepsTheOther() {
    bench.setEntry(4, 0x1200_0000_0001_0034)
    bench[0x18] = 0x1_0056
    #expect(bench.entry(4) == 0x1200_0000_0001_0056)

    bench[0x19] = 0x7800_0000
    #expect(bench.entry(4) == 0x7800_0000_0001_0056)
  }

  @Test(arguments: [(1, UInt64(0x34)), (2, 0x8234), (4, 0x0001_8234), (8, 0x0001_8234)])
  func aReadOfAnotherWidthGivesTheLowBytes(width: Int, value: UInt64) {
    bench[0x10] = 0x1_8234

    #expect(bench.read(0x10, width: width) == value)
  }

  @Test(arguments: [(1, UInt64(0x34)), (2, 0x8234), (4, 0x0001_8234), (8, 0x0001_8234)])
  func aWriteOfAnotherWidthFillsUpWithZeroes(width: Int, value: UInt64) {
    bench[0x10] = 0x1_FFFF
    bench.write(0x10, 0xFFFF_FFFF_0001_8234 & UInt64.max >> (64 - 8 * UInt64(width)), width: width)

    #expect(bench.read(0x10) == value)
  }

  @Test(arguments: [UInt64(0x04), 0x11, 0x14, 0x20, 0x44, 0x100, 0xFFF, .max])
  func otherOffsetsReadAsZeroAndIgnoreWrites(offset: UInt64) {
    bench.write(0x00, 0x10)
    bench.write(offset, 0x55)

    #expect(bench.read(offset) == 0)
    #expect(bench.read(0x00) == 0x10)
    #expect(bench.read(0x10) == IOAPICBench.masked)
  }

  @Test func theEndOfInterruptRegisterCannotBeRead() {
    bench.write(0x40, 0x31)

    #expect(bench.read(0x40) == 0)
  }

  // MARK: Messages

  private static let entries: [(UInt64, InterruptMessage?)] = [
    (0x0000_0000_0000_0031, InterruptMessage(address: 0xFEE0_0000, data: 0x31)),
    (0x0300_0000_0000_0031, InterruptMessage(address: 0xFEE0_3000, data: 0x31)),
    (0xFF00_0000_0000_0831, InterruptMessage(address: 0xFEEF_F004, data: 0x31)),
    // The lowest priority lets the message be redirected.
    (0x0100_0000_0000_0931, InterruptMessage(address: 0xFEE0_100C, data: 0x131)),
    (0x0100_0000_0000_0131, InterruptMessage(address: 0xFEE0_1008, data: 0x131)),
    (0x0100_0000_0000_8031, InterruptMessage(address: 0xFEE0_1000, data: 0xC031)),
    (0x0100_0000_0000_8131, InterruptMessage(address: 0xFEE0_1008, data: 0xC131)),
    // Polarity is none of the message's business.
    (0x0100_0000_0000_2031, InterruptMessage(address: 0xFEE0_1000, data: 0x31)),
    // SMI, NMI, INIT and ExtINT are edges.
    (0x0100_0000_0000_8200, InterruptMessage(address: 0xFEE0_1000, data: 0x200)),
    (0x0100_0000_0000_8400, InterruptMessage(address: 0xFEE0_1000, data: 0x400)),
    (0x0100_0000_0000_8500, InterruptMessage(address: 0xFEE0_1000, data: 0x500)),
    (0x0100_0000_0000_8700, InterruptMessage(address: 0xFEE0_1000, data: 0x700)),
    (0x0100_0000_0000_0331, nil),
    (0x0100_0000_0000_8631, nil),
    // An illegal vector is the local APIC's to report.
    (0x0100_0000_0000_0005, InterruptMessage(address: 0xFEE0_1000, data: 0x05)),
  ]

  @Test(arguments: entries)
  func anEntrySaysWhatItsPinSends(entry: UInt64, message: InterruptMessage?) {
    bench.setEntry(7, entry)

    #expect(bench.chip.messages[7] == message)
    bench.set(7, true)
    #expect(bench.processors.takeMessages() == [message].compactMap { $0 })
  }

  @Test func aMaskedEntryHasItsMessageToo() {
    bench.setEntry(7, 0x0100_0000_0001_8031)

    #expect(bench.chip.messages[7] == InterruptMessage(address: 0xFEE0_1000, data: 0xC031))
  }

  @Test func anEntryTellsItsFields() {
    let entry = RedirectionEntry(rawValue: 0x5A00_0000_0001_F931)

    #expect(entry.vector == 0x31)
    #expect(entry.deliveryMode == .lowestPriority)
    #expect(entry.isLogical)
    #expect(entry.isSendPending)
    #expect(entry.isActiveLow)
    #expect(entry.remoteIRR)
    #expect(entry.hasLevelTrigger)
    #expect(entry.isLevelTriggered)
    #expect(entry.isMasked)
    #expect(entry.destination == 0x5A)
    #expect(!RedirectionEntry(rawValue: 0x8400).isLevelTriggered)
    #expect(RedirectionEntry(rawValue: 0x0300).deliveryMode == nil)
  }
}
