/// Why a file is no recording, or cannot be replayed.
public enum RecordingError: Error, Equatable, Sendable, CustomStringConvertible {
  /// It does not begin as recordings do.
  case notARecording
  /// It has another version.
  case version(UInt32)
  /// A record cannot be so long.
  case badSize(UInt32, at: UInt64)
  /// A record makes no sense.
  case badRecord(at: UInt64, String)
  /// There is no such connection in it.
  case noConnection(String)
  /// A message cannot be sent again.
  case notReplayable(message: Int, String)

  /// One line for a user.
  public var description: String {
    switch self {
    case .notARecording: "this is no recording of apus run --record"
    case .version(let version):
      "a recording of version \(version), and version \(RecordingFormat.version) is known here"
    case .badSize(let size, let offset): "the record at byte \(offset) has \(size) bytes"
    case .badRecord(let offset, let what): "the record at byte \(offset) has \(what)"
    case .noConnection(let name): "there is no connection \(name) in it"
    case .notReplayable(let message, let what): "message \(message) cannot be sent again: \(what)"
    }
  }
}
