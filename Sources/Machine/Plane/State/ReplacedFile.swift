import Glibc
import HostOS

/// Writes files whole or not at all: the one that was there stays until the new one is complete.
enum ReplacedFile {
  /// Finds whether `path` can be written, and leaves everything as it is.
  static func check(_ path: String) throws(SystemError) {
    if isReplaced(path) {
      let temporary = temporaryPath(of: path)
      _ = try open(temporary, O_WRONLY | O_CREAT | O_EXCL)
      remove(temporary)
    } else {
      _ = try open(path, O_WRONLY)
    }
  }

  /// Writes what `body` writes to the descriptor that it gets.
  ///
  /// - Returns: What `body` returns.
  /// - Throws: What `body` throws, or `SystemError`; nothing is left behind then.
  static func write<Result>(_ path: String, _ body: (Int32) throws -> Result) throws -> Result {
    guard isReplaced(path) else {
      let file = try open(path, O_WRONLY)
      return try body(file.rawValue)
    }
    let temporary = temporaryPath(of: path)
    let file = try open(temporary, O_WRONLY | O_CREAT | O_EXCL)
    do {
      let number = file.rawValue
      let result = try body(number)
      _ = try retrying("fsync", temporary) { fsync(number) }
      // SAFETY: the bridged paths are NUL-terminated for the length of the call.
      _ = try retrying("rename", path) { unsafe rename(temporary, path) }
      return result
    } catch {
      remove(temporary)
      throw error
    }
  }

  /// Whether a file takes the place of what is at `path`: not of a pipe or a device, which are written to, nor
  /// of a folder, which is refused.
  static func isReplaced(_ path: String) -> Bool {
    var status = stat()
    // SAFETY: the path is NUL-terminated for the length of the call, the result a live local.
    return unsafe stat(path, &status) != 0 || status.st_mode & S_IFMT == S_IFREG
  }

  /// In the same folder, and no other process's.
  static func temporaryPath(of path: String) -> String { "\(path).\(getpid()).new" }

  private static func remove(_ path: String) {
    // SAFETY: the path is NUL-terminated for the length of the call.
    _ = unsafe unlink(path)
  }

  /// Opens without waiting for whoever writes to a pipe, or for a terminal.
  static func open(_ path: String, _ flags: Int32) throws(SystemError) -> OwnedFileDescriptor {
    try OwnedFileDescriptor(opening: path, flags | O_CLOEXEC | O_NONBLOCK)
  }
}
