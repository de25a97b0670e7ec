import ArgumentParser
import Machine

/// `--disk FILE[,readonly][,slot=N][,address=A]`; a comma in the file's name is written twice.
struct DiskOption: ExpressibleByArgument {
  let disk: MachineConfiguration.Disk

  init?(argument: String) {
    var parts = Self.split(argument)
    let path = parts.removeFirst()
    guard !path.isEmpty else { return nil }
    var disk = MachineConfiguration.Disk(path: path)
    for part in parts {
      let pair = part.split(separator: "=", maxSplits: 1).map(String.init)
      switch (pair.first, pair.dropFirst().first) {
      case ("readonly", nil): disk.isReadOnly = true
      case ("slot", let value?), ("address", let value?):
        guard let number = Self.number(value) else { return nil }
        disk.address = number
      default: return nil
      }
    }
    self.disk = disk
  }

  private static func number(_ text: String) -> UInt64? {
    text.hasPrefix("0x") ? UInt64(text.dropFirst(2), radix: 16) : UInt64(text)
  }

  private static func split(_ text: String) -> [String] {
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
    return parts
  }
}
