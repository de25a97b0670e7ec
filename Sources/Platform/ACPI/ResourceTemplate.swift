/// The resources of a device, as the buffer that `_CRS` returns (ACPI 6.5, 6.4).
struct ResourceTemplate {
  private enum Space {
    static var memory: UInt8 { 0 }
    static var ports: UInt8 { 1 }
    static var buses: UInt8 { 2 }
  }

  private var bytes: [UInt8] = []

  /// The finished buffer; an end tag with checksum 0 counts as right (6.4.2.9).
  var term: AML.Term { AML.buffer(bytes + [0x79, 0x00]) }

  /// Ports that the device decodes with 16 bits (6.4.2.5).
  func ports(at port: UInt16, count: UInt8) -> Self {
    adding([0x47, 0x01] + AML.little(port) + AML.little(port) + [0x01, count])
  }

  /// An edge-triggered, active-high ISA interrupt (6.4.2.1).
  func isaInterrupt(_ number: UInt8) -> Self {
    adding([0x22] + AML.little(UInt16(1) << UInt16(number & 0x0F)))
  }

  /// A level-triggered interrupt that may be shared (6.4.3.6).
  func interrupt(_ number: UInt32, isActiveLow: Bool) -> Self {
    // Bit 0 consumer, bit 1 edge, bit 2 active low, bit 3 shared.
    adding([0x89, 0x06, 0x00, isActiveLow ? 0x0D : 0x09, 0x01] + AML.little(number))
  }

  /// Registers of the device in memory: 32-bit if they fit, else 64-bit (6.4.3.4, 6.4.3.5.1).
  func memory(at address: UInt64, count: UInt64) -> Self {
    if let short = UInt32(exactly: address), let length = UInt32(exactly: count),
      !short.addingReportingOverflow(length).overflow
    {
      return adding([0x86, 0x09, 0x00, 0x01] + AML.little(short) + AML.little(length))
    }
    return quadWord(address..<address + count, isConsumer: true)
  }

  /// The bus numbers that a bridge passes on (6.4.3.5.3).
  func buses(_ count: Int) -> Self {
    word(Space.buses, flags: 0, first: 0, last: UInt16(count - 1))
  }

  /// The ports that a bridge passes on (6.4.3.5.3).
  func portWindow(_ ports: ClosedRange<UInt16>) -> Self {
    // The entire range, not the ISA aliases (table 6.48).
    word(Space.ports, flags: 0x03, first: ports.lowerBound, last: ports.upperBound)
  }

  /// The memory that a bridge passes on: 32-bit if it fits, else 64-bit (6.4.3.5.1, 6.4.3.5.2).
  func memoryWindow(_ window: Range<UInt64>) -> Self {
    guard let first = UInt32(exactly: window.lowerBound),
      let last = UInt32(exactly: window.upperBound - 1)
    else { return quadWord(window, isConsumer: false) }
    return adding(
      [0x87, 0x17, 0x00, Space.memory, Self.fixed, 0x01] + AML.little(UInt32(0))
        + AML.little(first) + AML.little(last) + AML.little(UInt32(0))
        + AML.little(last - first &+ 1)
    )
  }

  /// Both ends of the range are fixed; the device produces it.
  private static var fixed: UInt8 { 0x0C }

  private func word(_ space: UInt8, flags: UInt8, first: UInt16, last: UInt16) -> Self {
    adding(
      [0x88, 0x0D, 0x00, space, Self.fixed, flags] + AML.little(UInt16(0)) + AML.little(first)
        + AML.little(last) + AML.little(UInt16(0)) + AML.little(last - first &+ 1)
    )
  }

  private func quadWord(_ range: Range<UInt64>, isConsumer: Bool) -> Self {
    adding(
      [0x8A, 0x2B, 0x00, Space.memory, Self.fixed | (isConsumer ? 1 : 0), 0x01]
        + AML.little(UInt64(0)) + AML.little(range.lowerBound) + AML.little(range.upperBound - 1)
        + AML.little(UInt64(0)) + AML.little(range.upperBound - range.lowerBound)
    )
  }

  private func adding(_ descriptor: [UInt8]) -> Self {
    var longer = self
    longer.bytes += descriptor
    return longer
  }
}
