public import HostOS

/// Why a file of another process cannot be used as memory.
public enum SharedMappingError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The descriptor is not one of a file.
  case notMemory(DescriptorKind)
  /// The piece is not all in the file.
  case tooShort(offset: UInt64, count: UInt64, size: UInt64)
  /// The host refuses.
  case host(SystemError)

  /// One line for the log.
  public var description: String {
    switch self {
    case .notMemory(let kind): "\(kind) is no memory"
    case .tooShort(let offset, let count, let size):
      "\(count) bytes at \(offset) are not in a file of \(size)"
    case .host(let error): "\(error)"
    }
  }
}
