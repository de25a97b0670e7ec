/// A unix socket outside of a sandbox that the monitor connects to for the device inside.
public enum ReachableSocket: Equatable, Sendable {
  /// The one at this path.
  case path(String)
  /// Those at this path followed by an underscore and a number of 32 bits.
  case numbered(String)

  /// Whether it is what `path` names.
  func matches(_ path: String) -> Bool {
    switch self {
    case .path(let own): return path == own
    case .numbered(let own):
      guard path.hasPrefix("\(own)_"), let number = UInt32(path.dropFirst(own.count + 1)) else {
        return false
      }
      // Neither `+1` nor `01`.
      return path == "\(own)_\(number)"
    }
  }
}
