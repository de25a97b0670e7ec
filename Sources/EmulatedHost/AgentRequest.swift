/// What the agent inside the emulated host is asked to run.
///
/// It travels as a 32-bit little-endian length and that many bytes of NUL-terminated strings, over
/// the control port; paths and arguments cannot hold a NUL.
public struct AgentRequest: Equatable, Sendable {
  /// A folder of the user's that is mounted in the emulated host at the same path.
  public struct Folder: Equatable, Sendable {
    /// The absolute path, on both sides.
    public let path: String
    /// Whether the guest may change its files.
    public let isWritable: Bool

    /// Describes the folder at `path`.
    public init(path: String, isWritable: Bool) {
      self.path = path
      self.isWritable = isWritable
    }

    /// The tag that the folder is exported with.
    static func tag(_ index: Int) -> String { "apus.folder\(index)" }
  }

  /// The command line, without the program's name.
  public var arguments: [String]
  /// The folder that relative paths start from.
  public var workingDirectory: String
  /// Folders to mount, beside the read-only root.
  public var folders: [Folder]

  /// Describes a command to run.
  public init(arguments: [String], workingDirectory: String, folders: [Folder]) {
    self.arguments = arguments
    self.workingDirectory = workingDirectory
    self.folders = folders
  }

  /// The largest request: Linux's own limit on all arguments together (execve(2)).
  static var sizeLimit: Int { 6 << 20 }

  /// The bytes on the wire, length first.
  public var encoded: [UInt8] {
    let strings =
      [workingDirectory, String(folders.count)]
      + folders.map { ($0.isWritable ? "w" : "r") + $0.path } + arguments
    var payload: [UInt8] = []
    for string in strings {
      payload += string.utf8
      payload.append(0)
    }
    let count = UInt32(payload.count)
    return (0..<4).map { UInt8(truncatingIfNeeded: count >> (8 * $0)) } + payload
  }

  /// Reads back the payload of ``encoded``, without its length.
  ///
  /// - Throws: ``EmulatedHostError/protocolViolation(_:)`` if it is not such a payload.
  public init(payload: [UInt8]) throws(EmulatedHostError) {
    guard payload.last == 0 else { throw .protocolViolation("a request without an end") }
    let strings = payload.dropLast()
      .split(separator: 0, omittingEmptySubsequences: false)
      .map { String(decoding: $0, as: UTF8.self) }
    guard strings.count >= 2, let count = Int(strings[1]), count >= 0, count <= strings.count - 2
    else { throw .protocolViolation("a request with a wrong count of folders") }
    var folders: [Folder] = []
    for text in strings[2..<2 + count] {
      guard let kind = text.first, kind == "w" || kind == "r" else {
        throw .protocolViolation("a folder that is neither readable nor writable: \(text)")
      }
      folders.append(Folder(path: String(text.dropFirst()), isWritable: kind == "w"))
    }
    self.init(
      arguments: Array(strings[(2 + count)...]),
      workingDirectory: strings[0],
      folders: folders
    )
  }
}
