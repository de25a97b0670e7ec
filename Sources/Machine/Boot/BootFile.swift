import GuestMemory
import Glibc
import HostOS

/// A kernel or initrd file, opened once and read with positions, so it may be loaded again.
///
/// Any thread may use it. The size is the one at opening; a file that shrinks later is an error.
final class BootFile: Sendable {
  /// The path as the user gave it.
  let path: String
  /// The size in bytes.
  let count: UInt64
  private let descriptor: OwnedFileDescriptor

  /// Opens the regular file at `path`.
  init(opening path: String) throws(BootError) {
    self.path = path
    do throws(SystemError) {
      // O_NONBLOCK: a FIFO without a writer must be refused, not waited for.
      descriptor = try OwnedFileDescriptor(opening: path, O_RDONLY | O_NONBLOCK)
    } catch { throw .unreadable(path: path, error) }
    var status = stat()
    let number = descriptor.rawValue
    do throws(SystemError) {
      // SAFETY: the structure is a live local.
      _ = try retrying("fstat", path) { unsafe fstat(number, &status) }
    } catch { throw .unreadable(path: path, error) }
    guard status.st_mode & 0o170000 == 0o100000 else { throw .notAFile(path: path) }
    count = UInt64(clamping: status.st_size)
  }

  /// Up to `limit` bytes from the start.
  func prefix(_ limit: Int) throws(BootError) -> [UInt8] {
    try bytes(at: 0, count: Int(min(UInt64(limit), count)), what: "the file")
  }

  /// Exactly `size` bytes from `offset`; `what` names them if the file is too short.
  func bytes(at offset: UInt64, count size: Int, what: String) throws(BootError) -> [UInt8] {
    try check(offset, UInt64(size), what)
    var result = [UInt8](repeating: 0, count: size)
    var done = 0
    while done < size {
      let number = descriptor.rawValue
      let got: Int
      do throws(SystemError) {
        got = try retrying("pread", path) {
          // SAFETY: at most the bytes left in the array from `done` are written.
          unsafe result.withUnsafeMutableBytes { buffer in
            unsafe pread(
              number,
              buffer.baseAddress.unsafelyUnwrapped + done,
              size - done,
              off_t(truncatingIfNeeded: offset) + done
            )
          }
        }
      } catch { throw .unreadable(path: path, error) }
      guard got > 0 else { throw shrunk(what, offset &+ UInt64(size), offset &+ UInt64(done)) }
      done += got
    }
    return result
  }

  /// Reads `size` bytes from `offset` straight into guest memory; all of it must be RAM.
  func load(
    from offset: UInt64,
    count size: UInt64,
    into memory: GuestMemory,
    at address: GuestAddress,
    what: String
  ) throws(BootError) {
    try check(offset, size, what)
    guard size > 0 else { return }
    var vector = GuestIOVector(memory)
    let done: UInt64
    do throws(GuestMemoryError) { try vector.append(address, count: size) } catch {
      let end = memory.regions.first?.end.rawValue ?? 0
      throw .beyondMemory(item: path, end: address.rawValue &+ size, memoryEnd: end)
    }
    do throws(SystemError) { done = try vector.read(from: descriptor.rawValue, at: offset) } catch {
      throw .unreadable(path: path, error)
    }
    guard done == size else { throw shrunk(what, offset &+ size, offset &+ done) }
  }

  private func check(_ offset: UInt64, _ size: UInt64, _ what: String) throws(BootError) {
    guard size <= count, offset <= count - size else {
      let (end, overflow) = offset.addingReportingOverflow(size)
      throw .truncated(path: path, what: what, needed: overflow ? .max : end, size: count)
    }
  }

  private func shrunk(_ what: String, _ needed: UInt64, _ size: UInt64) -> BootError {
    .truncated(path: path, what: what, needed: needed, size: size)
  }
}
