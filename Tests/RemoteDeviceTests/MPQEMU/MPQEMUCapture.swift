import Glibc
import HostOS

@testable import RemoteDevice

/// A connection of real peers, as `Fixtures/README.md` describes it.
struct MPQEMUCapture {
  struct Message {
    let isFromProxy: Bool
    let descriptors: Int
    /// Header and payload, as they were on the wire.
    let bytes: [UInt8]
    let line: String

    var header: MPQEMUHeader { MPQEMUHeader(parsing: bytes[0..<MPQEMUHeader.count]) }
    var payload: [UInt8] { Array(bytes[MPQEMUHeader.count...]) }

    func decoded() throws(MPQEMUError) -> MPQEMUMessage {
      try MPQEMUMessage(header, payload, descriptors: descriptors, in: .current)
    }
  }

  let messages: [Message]

  init(file: String = #filePath) throws {
    let folder = file.split(separator: "/", omittingEmptySubsequences: false).dropLast(2)
      .joined(separator: "/")
    let descriptor = try OwnedFileDescriptor(
      opening: "\(folder)/Fixtures/mpqemu-qemu7.2-lsi.txt",
      O_RDONLY
    )
    let text = try FileIO.read(descriptor.rawValue, atMost: 1 << 20) ?? []
    messages = String(decoding: text, as: UTF8.self).split(separator: "\n").map { line in
      let words = line.split(separator: " ")
      let numbers = words.dropFirst().map { UInt64($0, radix: 16) ?? 0 }
      var bytes = Self.bytes(numbers[0]) + Self.bytes(numbers[1])
      for word in numbers.dropFirst(2) { bytes += Self.bytes(word) }
      let count = MPQEMUHeader.count + Int(numbers[1])
      bytes += [UInt8](repeating: 0, count: max(0, count - bytes.count))
      return Message(
        isFromProxy: line.hasPrefix(">"),
        descriptors: Int(words[0].dropFirst()) ?? -1,
        bytes: Array(bytes[0..<count]),
        line: String(line)
      )
    }
  }

  private static func bytes(_ word: UInt64) -> [UInt8] {
    (0..<8).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) }
  }
}
