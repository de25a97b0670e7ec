/// What is wrong with an option's text; one line with the value and the remedy.
struct OptionFailure: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }

  /// A part of an option that is none of what there is.
  static func unknown(_ name: String, _ value: String?, known: String) -> Self {
    Self("\(name)\(value.map { "=\($0)" } ?? "") is none of its options, which are \(known)")
  }
}
