import Virtio

/// What a user asked for of a disk that cannot be.
///
/// Each is shown as one line with the value and the remedy. What is wrong with a file is a
/// `DiskImageError`.
public enum DiskError: Error, Equatable, Sendable, CustomStringConvertible {
  /// A disk without storage has no bytes, or not whole sectors.
  case size(String, UInt64)
  /// An option is about files only.
  case onlyFiles(String, String)
  /// An option is about servers only.
  case onlyServers(String, String)
  /// A time is out of range.
  case time(String, String, Int)
  /// The number of queues is out of range.
  case queues(String, Int)
  /// The identification is empty or too long.
  case serial(String, String)
  /// The name has other characters than it may, none, or too many.
  case name(String, String)
  /// Two disks have one name.
  case sameName(String, other: String, String)

  /// One line: the value and the remedy.
  public var description: String {
    switch self {
    case .size(let disk, 0):
      "--disk \(disk): a disk has at least one sector; give it a multiple of 512, such as 1G"
    case .size(let disk, let count):
      "--disk \(disk): \(count) bytes are no whole number of sectors; give it a multiple of 512"
    case .onlyFiles(let disk, let option):
      "--disk \(disk),\(option): that is for files and block devices; leave it out"
    case .onlyServers(let disk, let option):
      "--disk \(disk),\(option)=…: that is for NBD servers; leave it out"
    case .time(let disk, let option, let seconds):
      "--disk \(disk),\(option)=\(seconds): that is 1 to 3600 seconds\(option == "reconnect" ? ", or 0" : "")"
    case .queues(let disk, let count):
      "--disk \(disk),queues=\(count): a disk has 1 to \(Block.queueLimit) queues"
    case .serial(let disk, let text):
      "--disk \(disk),serial=\(text): an identification has 1 to \(Block.serialCount) bytes"
    case .name(let disk, let name):
      "--disk \(disk),id=\(name): a name has 1 to 32 letters, digits, '-', '_' and '.'"
    case .sameName(let disk, let other, let name):
      "--disk \(disk),id=\(name): \(other) has that name; give one of them another"
    }
  }
}
