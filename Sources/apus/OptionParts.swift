/// The parts of an option's value between commas; a comma in a part is written twice.
struct OptionParts {
  /// What comes before the first comma.
  let first: String
  /// The others, each with what comes after its first equals sign.
  let rest: [(name: String, value: String?)]

  /// Takes `text` apart.
  init(_ text: String) {
    var parts = [""]
    var isEscaped = false
    let characters = Array(text)
    for (index, character) in characters.enumerated() {
      if isEscaped {
        isEscaped = false
      } else if character != "," {
        parts[parts.count - 1].append(character)
      } else if index + 1 < characters.count, characters[index + 1] == "," {
        parts[parts.count - 1].append(",")
        isEscaped = true
      } else {
        parts.append("")
      }
    }
    first = parts[0]
    rest = parts.dropFirst().map { part in
      let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      return (String(pair[0]), pair.count > 1 ? String(pair[1]) : nil)
    }
  }

  /// A number, decimal or after `0x`.
  static func number(_ text: String) -> UInt64? {
    text.hasPrefix("0x") ? UInt64(text.dropFirst(2), radix: 16) : UInt64(text)
  }
}
