import CLinux
import Glibc

/// Reads and writes on a descriptor by number, which the caller keeps open.
public enum FileIO {
  /// Reads what is there, up to `limit` bytes.
  ///
  /// - Returns: The bytes; empty at the end of the file; `nil` if a non-blocking descriptor has none.
  /// - Throws: ``SystemError`` for any other failure.
  public static func read(_ number: Int32, atMost limit: Int) throws(SystemError) -> [UInt8]? {
    var code: Int32 = 0
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: limit) { buffer, count in
      while true {
        // SAFETY: the buffer has room for `limit` bytes.
        let size = unsafe Glibc.read(number, buffer.baseAddress, limit)
        if size >= 0 {
          count = size
          return
        }
        code = errno
        if code != EINTR { return }
      }
    }
    if code == EAGAIN { return nil }
    if code != 0 { throw SystemError(call: "read", code: code, subject: "descriptor \(number)") }
    return bytes
  }

  /// Writes as much of `bytes` as the descriptor takes without waiting, if it is non-blocking.
  ///
  /// - Returns: How many bytes were taken; 0 if a non-blocking descriptor takes none now.
  /// - Throws: ``SystemError`` for any other failure.
  public static func write(_ number: Int32, _ bytes: ArraySlice<UInt8>) throws(SystemError) -> Int {
    guard !bytes.isEmpty else { return 0 }
    while true {
      // SAFETY: the slice's storage is read, within its bounds.
      let size = unsafe bytes.withUnsafeBytes {
        unsafe Glibc.write(number, $0.baseAddress, $0.count)
      }
      if size >= 0 { return size }
      let code = errno
      if code == EAGAIN { return 0 }
      if code != EINTR {
        throw SystemError(call: "write", code: code, subject: "descriptor \(number)")
      }
    }
  }

  /// Writes all of `bytes`, waiting as long as it takes.
  public static func writeAll(_ number: Int32, _ bytes: [UInt8]) throws(SystemError) {
    var left = bytes[...]
    while !left.isEmpty {
      let size = try write(number, left)
      left = left.dropFirst(size)
      if size == 0 { waitUntilWritable(number) }
    }
  }

  /// Writes all of `bytes` to a terminal, pipe or file, unless nothing of it is taken for too long.
  ///
  /// - Parameters:
  ///   - number: Where to write; flags of the open file, which others share, stay as they are.
  ///   - bytes: What to write.
  ///   - limit: How long to wait each time that nothing is taken, in milliseconds.
  /// - Returns: Whether all was taken.
  /// - Throws: ``SystemError`` if writing fails.
  public static func write(
    _ number: Int32,
    _ bytes: [UInt8],
    patience limit: Int32
  ) throws(SystemError) -> Bool {
    let own = reopenToWrite(number)
    let target = own.borrow { $0.rawValue } ?? number
    var left = bytes[...]
    while !left.isEmpty {
      guard isWritable(target, within: limit) else { return false }
      left = left.dropFirst(try write(target, left))
    }
    return true
  }

  /// Makes reads and writes of the open file return at once; all who share the file see it.
  public static func setNonBlocking(_ number: Int32) throws(SystemError) {
    let flags = try retrying("fcntl(F_GETFL)") { apus_fcntl(number, F_GETFL, 0) }
    _ = try retrying("fcntl(F_SETFL)") { apus_fcntl(number, F_SETFL, Int(flags | O_NONBLOCK)) }
  }

  /// Opens the terminal or pipe behind `number` a second time, to write to without blocking.
  ///
  /// The flags of `number` itself are shared with whoever else has it open (a terminal with the shell),
  /// so they stay as they are.
  ///
  /// - Returns: `nil` for anything else, and where it cannot be opened again.
  public static func reopenToWrite(_ number: Int32) -> OwnedFileDescriptor? {
    var status = stat()
    // SAFETY: the status is a live local.
    guard unsafe fstat(number, &status) == 0,
      [S_IFCHR, S_IFIFO].contains(status.st_mode & S_IFMT)
    else { return nil }
    return try? OwnedFileDescriptor(
      opening: "/proc/self/fd/\(number)",
      O_WRONLY | O_NONBLOCK | O_NOCTTY
    )
  }

  private static func waitUntilWritable(_ number: Int32) {
    _ = isWritable(number, within: -1)
  }

  /// - Returns: Whether a write would take something, or fail at once; also if a signal ended the wait.
  private static func isWritable(_ number: Int32, within milliseconds: Int32) -> Bool {
    var item = pollfd(fd: number, events: Int16(POLLOUT), revents: 0)
    return unsafe poll(&item, 1, milliseconds) != 0
  }
}
