/// The terms of ACPI Machine Language that the tables use, each made into its bytes (ACPI 6.5, 20.2).
///
/// A term is an array of bytes, so that terms nest as calls do.
enum AML {
  typealias Term = [UInt8]

  // MARK: Data (20.2.3)

  /// An integer in its shortest form.
  static func integer(_ value: UInt64) -> Term {
    switch value {
    case 0: [0x00]
    case 1: [0x01]
    case ...0xFF: [0x0A] + little(UInt8(value))
    case ...0xFFFF: [0x0B] + little(UInt16(value))
    case ...0xFFFF_FFFF: [0x0C] + little(UInt32(value))
    default: [0x0E] + little(value)
    }
  }

  /// A string.
  static func string(_ text: StaticString) -> Term { [0x0D] + text.description.utf8 + [0] }

  /// A buffer with these bytes.
  static func buffer(_ bytes: [UInt8]) -> Term {
    [0x11] + packaged(integer(UInt64(bytes.count)) + bytes)
  }

  /// A package of up to 255 elements.
  static func package(_ elements: [Term]) -> Term {
    precondition(elements.count <= 255, "a package holds 255 elements, not \(elements.count)")
    return [0x12] + packaged([UInt8(elements.count)] + elements.joined())
  }

  /// A plug-and-play name such as `PNP0A08` as an integer (19.3.4).
  static func eisaID(_ name: StaticString) -> Term {
    let text = Array(name.description.utf8)
    precondition(text.count == 7, "three letters and four digits")
    var value: UInt32 = 0
    for letter in text[..<3] { value = value << 5 | UInt32(letter &- 0x40) & 0x1F }
    for digit in text[3...] {
      value = value << 4 | UInt32(digit < 0x41 ? digit &- 0x30 : digit &- 0x37) & 0x0F
    }
    // The letters come first in memory: the number is big-endian.
    return [0x0C] + little(value.byteSwapped)
  }

  /// A UUID, given as its 16 bytes in the order of its text, as a buffer (19.6.142).
  static func uuid(_ text: [UInt8]) -> Term {
    precondition(text.count == 16, "a UUID has 16 bytes")
    let order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15]
    return buffer(order.map { text[$0] })
  }

  // MARK: Names and objects (20.2.2, 20.2.5)

  /// A path: names of four characters, after `\` if it starts at the root.
  static func path(_ text: String) -> Term {
    var text = Substring(text)
    var bytes: Term = []
    if text.first == "\\" {
      bytes.append(0x5C)
      text = text.dropFirst()
    }
    let segments = text.split(separator: ".")
    precondition(segments.count <= 2, "a path of more than two names: \(text)")
    if segments.isEmpty { bytes.append(0) }
    if segments.count == 2 { bytes.append(0x2E) }
    for segment in segments {
      let name = Array(segment.utf8)
      precondition((1...4).contains(name.count), "a name has one to four characters: \(segment)")
      bytes += name + [UInt8](repeating: 0x5F, count: 4 - name.count)
    }
    return bytes
  }

  static func name(_ name: String, _ value: Term) -> Term { [0x08] + path(name) + value }
  static func scope(_ name: String, _ terms: Term...) -> Term {
    [0x10] + packaged(path(name) + terms.joined())
  }
  static func device(_ name: String, _ terms: Term...) -> Term {
    [0x5B, 0x82] + packaged(path(name) + terms.joined())
  }

  /// A method of `arguments` arguments; serialized, since it may create names.
  static func method(_ name: String, arguments: UInt8, _ terms: Term...) -> Term {
    [0x14] + packaged(path(name) + [arguments & 0x07 | 0x08] + terms.joined())
  }

  // MARK: Statements and expressions (20.2.5.3, 20.2.5.4)

  static func argument(_ index: UInt8) -> Term { [0x68 + index] }
  static func local(_ index: UInt8) -> Term { [0x60 + index] }
  static func store(_ value: Term, in target: Term) -> Term { [0x70] + value + target }
  static func and(_ left: Term, _ right: Term, in target: Term) -> Term {
    [0x7B] + left + right + target
  }
  static func or(_ left: Term, _ right: Term, in target: Term) -> Term {
    [0x7D] + left + right + target
  }
  static func isEqual(_ left: Term, _ right: Term) -> Term { [0x93] + left + right }
  static func not(_ value: Term) -> Term { [0x92] + value }
  static func `if`(_ condition: Term, _ terms: Term...) -> Term {
    [0xA0] + packaged(condition + terms.joined())
  }
  static func `else`(_ terms: Term...) -> Term { [0xA1] + packaged(Array(terms.joined())) }
  static func `return`(_ value: Term) -> Term { [0xA4] + value }

  /// Names the 32-bit field at byte `offset` of a buffer.
  static func createDWordField(_ name: String, of buffer: Term, at offset: UInt64) -> Term {
    [0x8A] + buffer + integer(offset) + path(name)
  }

  // MARK: Encoding

  /// `body` behind its package length, which counts its own bytes too (20.2.4).
  private static func packaged(_ body: Term) -> Term {
    if body.count + 1 <= 0x3F { return [UInt8(body.count + 1)] + body }
    for following in 1...3 where body.count + 1 + following < 1 << (4 + 8 * following) {
      let length = body.count + 1 + following
      let lead = UInt8(following << 6 | length & 0x0F)
      return [lead] + (0..<following).map { UInt8(truncatingIfNeeded: length >> (4 + 8 * $0)) }
        + body
    }
    preconditionFailure("a package of \(body.count) bytes has no encoding")
  }

  static func little(_ value: some FixedWidthInteger) -> [UInt8] {
    (0..<value.bitWidth / 8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
  }
}
