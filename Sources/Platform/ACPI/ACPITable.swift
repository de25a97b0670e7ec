/// The bytes of one ACPI table while it is put together, little-endian (ACPI 6.5, 5.2.6).
struct ACPITable {
  private(set) var bytes: [UInt8] = []

  /// Starts with nothing, for the structures that have no standard header.
  init() {}

  /// Starts with the standard header; ``finished()`` fills in length and checksum.
  ///
  /// - Parameters:
  ///   - signature: Four characters.
  ///   - revision: The revision of this table's layout.
  init(_ signature: StaticString, revision: UInt8) {
    append(signature, count: 4)
    append(UInt32(0))  // length
    append(revision)
    append(UInt8(0))  // checksum
    append("APUS", count: 6)
    append("APUSVMM", count: 8)
    append(UInt32(1))  // OEM revision
    append("APUS", count: 4)  // creator
    append(UInt32(1))  // creator revision
  }

  var count: Int { bytes.count }

  mutating func append(_ value: some FixedWidthInteger) {
    for index in 0..<value.bitWidth / 8 {
      bytes.append(UInt8(truncatingIfNeeded: value >> (8 * index)))
    }
  }

  mutating func append(_ more: [UInt8]) { bytes += more }

  /// Appends text, padded to `count` bytes with zeros.
  mutating func append(_ text: StaticString, count: Int) {
    let text = Array(text.description.utf8)
    precondition(text.count <= count, "\(text.count) characters do not fit in \(count)")
    bytes += text + [UInt8](repeating: 0, count: count - text.count)
  }

  mutating func appendZeros(_ count: Int) { bytes += [UInt8](repeating: 0, count: count) }

  /// Appends a generic address structure for an I/O port (5.2.3.2).
  mutating func append(port: UInt16, bits: UInt8, accessSize: UInt8) {
    append(UInt8(1))  // system I/O space
    append(bits)
    append(UInt8(0))  // bit offset
    append(accessSize)  // 1 byte, 2 word, 3 dword
    append(UInt64(port))
  }

  /// The table with its length and its checksum in place.
  func finished() -> [UInt8] {
    var bytes = bytes
    for index in 0..<4 { bytes[4 + index] = UInt8(truncatingIfNeeded: bytes.count >> (8 * index)) }
    bytes[9] = Self.checksum(of: bytes[...])
    return bytes
  }

  /// What makes the sum of all bytes zero.
  static func checksum(of bytes: ArraySlice<UInt8>) -> UInt8 {
    0 &- bytes.reduce(0, &+)
  }
}
