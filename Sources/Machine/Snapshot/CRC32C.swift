/// The checksum of a saved machine's sections: CRC-32C (RFC 3720, 12.1), eight bytes at a time.
struct CRC32C {
  private var state: UInt32 = ~0

  /// The checksum of what was added up to now.
  var value: UInt32 { ~state }

  /// Eight tables: the effect of a byte that stands so many bytes before the end.
  private static let tables: [UInt32] = {
    var tables = [UInt32](repeating: 0, count: 8 * 256)
    for byte in 0..<256 {
      var value = UInt32(byte)
      for _ in 0..<8 { value = value >> 1 ^ (value & 1 != 0 ? 0x82F6_3B78 : 0) }
      tables[byte] = value
    }
    for index in 256..<tables.count {
      let before = tables[index - 256]
      tables[index] = before >> 8 ^ tables[Int(before & 0xFF)]
    }
    return tables
  }()

  /// Adds bytes.
  mutating func add(_ bytes: [UInt8]) {
    let tables = Self.tables.span
    let bytes = bytes.span
    var state = state
    var position = 0
    while bytes.count - position >= 8 {
      let low =
        state
        ^ (UInt32(bytes[position]) | UInt32(bytes[position + 1]) << 8
          | UInt32(bytes[position + 2]) << 16 | UInt32(bytes[position + 3]) << 24)
      state =
        tables[7 * 256 + Int(low & 0xFF)] ^ tables[6 * 256 + Int(low >> 8 & 0xFF)]
        ^ tables[5 * 256 + Int(low >> 16 & 0xFF)] ^ tables[4 * 256 + Int(low >> 24)]
        ^ tables[3 * 256 + Int(bytes[position + 4])] ^ tables[2 * 256 + Int(bytes[position + 5])]
        ^ tables[256 + Int(bytes[position + 6])] ^ tables[Int(bytes[position + 7])]
      position += 8
    }
    while position < bytes.count {
      state = state >> 8 ^ tables[Int((state ^ UInt32(bytes[position])) & 0xFF)]
      position += 1
    }
    self.state = state
  }
}
