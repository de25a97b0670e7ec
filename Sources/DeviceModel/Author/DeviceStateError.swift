/// Why bytes are no state of a device.
public enum DeviceStateError: Error, Equatable, Sendable, CustomStringConvertible {
  /// They are of another form than this device knows.
  case version(UInt64, known: UInt64)
  /// They end where `count` more should come.
  case truncated(at: Int, count: Int)
  /// There are this many after the end.
  case trailing(Int)
  /// They say something that no state of the device's is.
  case badValue(String)

  /// One line for the log.
  public var description: String {
    switch self {
    case .version(let version, let known): "a state of version \(version), not \(known)"
    case .truncated(let offset, let count):
      "the state ends at byte \(offset), where \(count) more should be"
    case .trailing(let count): "\(count) bytes after the end of the state"
    case .badValue(let what): "a state with \(what)"
    }
  }
}
