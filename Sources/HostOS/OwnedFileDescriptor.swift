import CLinux
import Glibc

/// A file descriptor with exactly one owner.
///
/// The descriptor is closed when its owner goes away, so a leak or a double close cannot be
/// written. Borrow ``rawValue`` for a system call; never store it.
public struct OwnedFileDescriptor: ~Copyable, Sendable {
  /// The descriptor's number, valid only while this value is alive.
  public let rawValue: Int32

  /// Takes ownership of a descriptor that the caller just obtained.
  public init(adopting rawValue: Int32) {
    precondition(rawValue >= 0, "not a file descriptor: \(rawValue)")
    self.rawValue = rawValue
  }

  /// Opens the file at `path`, always close-on-exec.
  ///
  /// - Parameters:
  ///   - path: The file's path.
  ///   - flags: `O_RDONLY`, `O_RDWR` and the other flags of open(2).
  ///   - mode: The permissions of a file that the call creates.
  /// - Throws: ``SystemError`` with the path as its subject.
  public init(opening path: String, _ flags: Int32, mode: UInt32 = 0o600) throws(SystemError) {
    rawValue = try retrying("open", path) {
      // SAFETY: the bridged path is NUL-terminated for the length of the call.
      unsafe path.withCString { unsafe apus_open($0, flags | O_CLOEXEC, mode) }
    }
  }

  /// Makes a descriptor of its own for the open file behind `number`, which stays the caller's.
  public init(duplicating number: Int32) throws(SystemError) {
    rawValue = try retrying("fcntl(F_DUPFD_CLOEXEC)", "descriptor \(number)") {
      apus_fcntl(number, F_DUPFD_CLOEXEC, 0)
    }
  }

  deinit {
    _ = Glibc.close(rawValue)
  }

  /// Makes a second, independently owned descriptor for the same open file.
  public borrowing func duplicated() throws(SystemError) -> OwnedFileDescriptor {
    try OwnedFileDescriptor(duplicating: rawValue)
  }

  /// Gives up ownership, for a descriptor that another process or the kernel now owns.
  public consuming func release() -> Int32 {
    let number = rawValue
    discard self
    return number
  }
}
