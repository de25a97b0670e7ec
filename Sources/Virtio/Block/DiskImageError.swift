public import HostOS

/// Why a file cannot serve as a disk; each description is one line with the remedy.
public enum DiskImageError: Error, Equatable, Sendable, CustomStringConvertible {
  /// There is no such file.
  case missing(path: String)
  /// The file cannot be opened or examined.
  case unreadable(path: String, SystemError)
  /// The file can be read but not written, and was not asked for read-only.
  case writeProtected(path: String, SystemError)
  /// The path is that of a directory.
  case directory(path: String)
  /// The file is neither a regular file nor a block device.
  case notADisk(path: String)
  /// The file has no bytes.
  case empty(path: String)
  /// The file does not consist of whole sectors, or of whole blocks where it has to.
  case badSize(path: String, count: UInt64, block: UInt64)
  /// The file system has no direct I/O.
  case notDirect(path: String)
  /// The host refuses the io_uring that was asked for.
  case noRing(path: String, SystemError)
  /// Another process, or another disk of this machine, has locked the file.
  case inUse(path: String, isReadOnly: Bool)

  /// One line for the user.
  public var description: String {
    switch self {
    case .missing(let path):
      "disk \(path): no such file; create one with: truncate -s 1G \(path)"
    case .unreadable(let path, let error):
      "disk \(path): \(error.reason); check the path and its permissions"
    case .writeProtected(let path, let error):
      "disk \(path): \(error.reason) for writing; use it read-only: \(path),readonly"
    case .directory(let path):
      "disk \(path) is a directory; name a disk image or a block device"
    case .notADisk(let path):
      "disk \(path) is neither a file nor a block device; name a disk image"
    case .empty(let path):
      "disk \(path) is empty; give it a size: truncate -s 1G \(path)"
    case .badSize(let path, let count, let block):
      "disk \(path) is \(count) bytes, not a multiple of \(block): "
        + "truncate -s \((count / block + 1) * block) \(path)"
    case .notDirect(let path):
      "disk \(path): its file system has no direct I/O; leave direct out"
    case .noRing(let path, let error):
      "disk \(path): the host refuses io_uring (\(error)); see kernel.io_uring_disabled and the "
        + "container's seccomp profile, or use it with engine=sync"
    case .inUse(let path, let isReadOnly):
      isReadOnly
        ? "disk \(path) is in use by a writer; stop that, or use a copy"
        : "disk \(path) is in use; stop its user, or let all of them use it with ,readonly"
    }
  }
}
