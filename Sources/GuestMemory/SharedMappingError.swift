public import HostOS

/// Why a file of another process cannot be used as memory.
public enum SharedMappingError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The descriptor is not one of a file.
  case notMemory(DescriptorKind)
  /// The file is where a page may never come, such as on FUSE or a network; with the type of the file
  /// system (statfs(2)).
  case unreliable(fileSystem: Int64)
  /// The piece is not all in the file.
  case tooShort(offset: UInt64, count: UInt64, size: UInt64)
  /// The host refuses.
  case host(SystemError)

  /// One line for the log.
  public var description: String {
    switch self {
    case .notMemory(let kind): "\(kind) is no memory"
    case .unreliable(let type):
      "a file on a file system of type 0x\(String(UInt64(bitPattern: type), radix: 16)) may never answer; "
        + "memory is to be a memfd, or a file on tmpfs, hugetlbfs or a local disk"
    case .tooShort(let offset, let count, let size):
      "\(count) bytes at \(offset) are not in a file of \(size)"
    case .host(let error): "\(error)"
    }
  }
}
