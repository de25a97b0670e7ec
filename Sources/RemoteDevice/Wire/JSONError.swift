/// Where and why text is no JSON.
struct JSONError: Error, Equatable, CustomStringConvertible {
  /// What is wrong.
  let reason: String
  /// After how many bytes.
  let offset: Int

  /// As in `no JSON: a value is missing after 12 bytes`.
  var description: String { "no JSON: \(reason) after \(offset) bytes" }
}
