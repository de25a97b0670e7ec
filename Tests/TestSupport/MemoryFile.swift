import CLinux
import Glibc
public import HostOS

/// A memory file of a test's own, as another process would share it.
public final class MemoryFile {
  /// The file.
  public let descriptor: OwnedFileDescriptor

  /// A call failed.
  public struct Failure: Error { let code: Int32 }

  /// Makes a file of `count` zero bytes.
  public init(count: Int) throws {
    let number = apus_memfd_create("test", 1)
    guard number >= 0 else { throw Failure(code: errno) }
    descriptor = OwnedFileDescriptor(adopting: number)
    try truncate(to: count)
  }

  /// Makes the file shorter, or longer with zero bytes.
  public func truncate(to count: Int) throws {
    guard ftruncate(descriptor.rawValue, count) == 0 else { throw Failure(code: errno) }
  }

  /// The bytes from `offset` on.
  public func bytes(at offset: Int, count: Int) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    let done = pread(descriptor.rawValue, &bytes, count, off_t(offset))
    guard done >= 0 else { throw Failure(code: errno) }
    return Array(bytes[0..<done])
  }

  /// Writes `bytes` from `offset` on.
  public func write(_ bytes: [UInt8], at offset: Int) throws {
    guard pwrite(descriptor.rawValue, bytes, bytes.count, off_t(offset)) == bytes.count else {
      throw Failure(code: errno)
    }
  }
}
