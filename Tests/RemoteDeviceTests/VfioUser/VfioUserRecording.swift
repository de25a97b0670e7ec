import Glibc
import HostOS

/// A connection of a real client, as `Fixtures/README.md` describes it.
struct VfioUserRecording {
  /// One message.
  struct Message {
    let isServers: Bool
    let descriptors: Int
    let bytes: [UInt8]
    /// Whether all of it was recorded.
    let isWhole: Bool
  }

  let messages: [Message]

  /// Reads the fixture `name`.
  init(_ name: String, file: String = #filePath) throws {
    let tests = file.split(separator: "/").dropLast(2).joined(separator: "/")
    let path = "/\(tests)/Fixtures/\(name).txt"
    let descriptor = try OwnedFileDescriptor(opening: path, O_RDONLY)
    let text = try FileIO.read(descriptor.rawValue, atMost: 1 << 20) ?? []
    messages = String(decoding: text, as: UTF8.self).split(separator: "\n").map { line in
      let words = line.split(separator: " ")
      let digits = words[2].utf8.filter { $0 != UInt8(ascii: "+") }
      return Message(
        isServers: words[0] == "S",
        descriptors: Int(words[1]) ?? -1,
        bytes: stride(from: 0, to: digits.count, by: 2).map {
          UInt8(String(decoding: digits[$0..<($0 + 2)], as: UTF8.self), radix: 16) ?? 0
        },
        isWhole: words[2].last != "+"
      )
    }
  }
}
