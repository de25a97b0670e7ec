/// A value of JSON (RFC 8259), as far as peers of ours need it.
indirect enum JSONValue: Equatable, Sendable {
  case null
  case truth(Bool)
  /// A number; without a value if it is not one of 0 to 2^64 - 1.
  case number(UInt64?)
  case text(String)
  case list([JSONValue])
  case object([String: JSONValue])

  /// Reads text that is one value and nothing else, nested at most 16 deep.
  ///
  /// Nothing beyond the standard is taken: no comments, no commas at an end, no member twice.
  init(parsing text: some Collection<UInt8>) throws(JSONError) {
    var reader = JSONReader(Array(text))
    self = try reader.document()
  }
}
