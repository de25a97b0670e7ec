/// Reads JSON from bytes that somebody else chose.
struct JSONReader {
  // A peer must not exhaust the stack.
  private static var depthLimit: Int { 16 }

  private let bytes: [UInt8]
  private var place = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// The one value that the bytes are.
  mutating func document() throws(JSONError) -> JSONValue {
    let value = try value(0)
    skipSpace()
    guard place == bytes.count else { throw wrong("more text") }
    return value
  }

  private func wrong(_ reason: String) -> JSONError { JSONError(reason: reason, offset: place) }

  private var next: UInt8? { place < bytes.count ? bytes[place] : nil }

  private mutating func skipSpace() {
    while let byte = next, [0x20, 0x09, 0x0A, 0x0D].contains(byte) { place += 1 }
  }

  /// Passes over `word` if that is what comes next.
  private mutating func take(_ word: StaticString) -> Bool {
    let characters = Array(word.description.utf8)
    guard bytes[place...].starts(with: characters) else { return false }
    place += characters.count
    return true
  }

  private mutating func value(_ depth: Int) throws(JSONError) -> JSONValue {
    skipSpace()
    guard depth < Self.depthLimit else { throw wrong("too deep") }
    guard let byte = next else { throw wrong("a value is missing") }
    switch byte {
    case UInt8(ascii: "{"): return try object(depth)
    case UInt8(ascii: "["): return try list(depth)
    case UInt8(ascii: "\""): return .text(try text())
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
    default:
      if take("true") { return .truth(true) }
      if take("false") { return .truth(false) }
      if take("null") { return .null }
      throw wrong("no value")
    }
  }

  private mutating func object(_ depth: Int) throws(JSONError) -> JSONValue {
    place += 1
    var members: [String: JSONValue] = [:]
    skipSpace()
    if take("}") { return .object(members) }
    while true {
      skipSpace()
      guard next == UInt8(ascii: "\"") else { throw wrong("a name is missing") }
      let name = try text()
      skipSpace()
      guard take(":") else { throw wrong("no colon") }
      let value = try value(depth + 1)
      guard members.updateValue(value, forKey: name) == nil else { throw wrong("a name twice") }
      skipSpace()
      if take("}") { return .object(members) }
      guard take(",") else { throw wrong("no comma") }
    }
  }

  private mutating func list(_ depth: Int) throws(JSONError) -> JSONValue {
    place += 1
    var values: [JSONValue] = []
    skipSpace()
    if take("]") { return .list(values) }
    while true {
      values.append(try value(depth + 1))
      skipSpace()
      if take("]") { return .list(values) }
      guard take(",") else { throw wrong("no comma") }
    }
  }

  private mutating func digits() -> ArraySlice<UInt8> {
    let start = place
    while let byte = next, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { place += 1 }
    return bytes[start..<place]
  }

  private mutating func number() throws(JSONError) -> JSONValue {
    var isWhole = !take("-")
    let whole = digits()
    guard let first = whole.first else { throw wrong("no digit") }
    guard first != UInt8(ascii: "0") || whole.count == 1 else { throw wrong("a leading zero") }
    if take(".") {
      isWhole = false
      guard !digits().isEmpty else { throw wrong("no digit") }
    }
    if take("e") || take("E") {
      isWhole = false
      if !take("+") { _ = take("-") }
      guard !digits().isEmpty else { throw wrong("no digit") }
    }
    return .number(isWhole ? UInt64(String(decoding: whole, as: UTF8.self)) : nil)
  }

  private mutating func text() throws(JSONError) -> String {
    place += 1
    var units: [UInt8] = []
    while let byte = next {
      place += 1
      switch byte {
      case UInt8(ascii: "\""):
        guard let text = String(validating: units, as: UTF8.self) else {
          throw wrong("text that is not UTF-8")
        }
        return text
      case UInt8(ascii: "\\"): units += String(try escape()).utf8
      case 0..<0x20: throw wrong("a control character")
      default: units.append(byte)
      }
    }
    throw wrong("text without an end")
  }

  private mutating func escape() throws(JSONError) -> Unicode.Scalar {
    guard let byte = next else { throw wrong("text without an end") }
    place += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
    case UInt8(ascii: "b"): return "\u{08}"
    case UInt8(ascii: "f"): return "\u{0C}"
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "u"): return try scalar()
    default: throw wrong("an unknown escape")
    }
  }

  /// A character by number, or by two that stand for one (RFC 8259, 7).
  private mutating func scalar() throws(JSONError) -> Unicode.Scalar {
    let first = try unit()
    if let scalar = Unicode.Scalar(first) { return scalar }
    guard (0xD800..<0xDC00).contains(first), take("\\u") else { throw wrong("half a character") }
    let second = try unit()
    guard (0xDC00..<0xE000).contains(second),
      let scalar = Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
    else { throw wrong("half a character") }
    return scalar
  }

  private mutating func unit() throws(JSONError) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard let byte = next, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
        throw wrong("no hexadecimal digit")
      }
      place += 1
      value = value << 4 | UInt32(digit)
    }
    return value
  }
}
