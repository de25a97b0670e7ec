import Glibc
import HostOS

/// A connection of a real front end, as `Fixtures/README.md` describes it.
struct Capture {
  /// One request.
  struct Request {
    let name: String
    let number: UInt32
    let flags: UInt32
    let size: Int
    let descriptors: Int
    let fields: [String: UInt64]
    /// The payload of the answer, if there was one.
    var replySize: Int?
  }

  let requests: [Request]

  /// Reads the fixture `name`.
  init(_ name: String, file: String = #filePath) throws {
    let folder = file[..<(file.lastIndex(of: "/") ?? file.startIndex)]
    let descriptor = try OwnedFileDescriptor(opening: "\(folder)/Fixtures/\(name).txt", O_RDONLY)
    let bytes = try FileIO.read(descriptor.rawValue, atMost: 1 << 16) ?? []
    var requests: [Request] = []
    for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
      let words = line.split(separator: " ").map(String.init)
      if words[0] == "reply" {
        requests[requests.count - 1].replySize = Int(words[1])
      } else {
        requests.append(Request(words))
      }
    }
    self.requests = requests
  }
}

extension Capture.Request {
  init(_ words: [String]) {
    name = words[0]
    number = UInt32(words[1]) ?? 0
    var header: [String: String] = [:]
    var fields: [String: UInt64] = [:]
    for word in words.dropFirst(2) {
      let pair = word.split(separator: "=").map(String.init)
      // The header's fields come first; a payload may have one of the same name.
      if header.count < 3 {
        header[pair[0]] = pair[1]
      } else {
        fields[pair[0]] =
          pair[1].hasPrefix("0x") ? UInt64(pair[1].dropFirst(2), radix: 16) : UInt64(pair[1])
      }
    }
    flags = UInt32(header["flags"] ?? "", radix: 16) ?? 0
    size = Int(header["size"] ?? "") ?? -1
    descriptors = Int(header["fds"] ?? "") ?? -1
    self.fields = fields
  }

  /// A field of the payload.
  subscript(name: String) -> UInt64 { fields[name] ?? 0 }
}
