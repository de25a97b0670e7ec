import CLinux
import Glibc
public import GuestMemory
public import HostOS

/// A raw disk: a regular file or a block device, locked while it is open.
///
/// One writer, or any number of readers, hold it at a time, in this process and among those that lock
/// likewise (`F_OFD_SETLK` over the whole file). Any thread may call anything.
public final class DiskImage: Sendable {
  /// The bytes in a sector, the unit of virtio block requests.
  public static var sectorSize: UInt64 { 512 }

  /// The file's path, for messages.
  public let path: String
  /// The size when it was opened, in bytes; a multiple of ``sectorSize``.
  public let count: UInt64
  /// Whether it was opened only to be read.
  public let isReadOnly: Bool

  /// The block that the host reads and writes at least, in bytes; a power of 2 from 512 to 64 KiB.
  public let blockSize: UInt64

  let descriptor: OwnedFileDescriptor
  let isBlockDevice: Bool

  /// Opens and locks the disk at `path`.
  public init(opening path: String, readOnly: Bool = false) throws(DiskImageError) {
    self.path = path
    isReadOnly = readOnly
    descriptor = try Self.open(path, readOnly: readOnly)
    (count, blockSize, isBlockDevice) = try Self.geometry(of: descriptor, path)
    guard count > 0 else { throw .empty(path: path) }
    guard count % Self.sectorSize == 0 else { throw .badSize(path: path, count: count) }
    guard apus_lock_file(descriptor.rawValue, readOnly ? 0 : 1) == 0 else {
      let code = errno
      if code == EAGAIN || code == EACCES { throw .inUse(path: path, isReadOnly: readOnly) }
      throw .unreadable(path: path, SystemError(call: "fcntl(F_OFD_SETLK)", code: code))
    }
  }

  /// Fills the ranges of `vector` from byte `offset` of the disk on.
  ///
  /// - Returns: The bytes read; fewer than asked for if the file has become shorter.
  public func read(
    _ vector: inout GuestIOVector,
    at offset: UInt64
  ) throws(SystemError) -> UInt64 {
    try vector.read(from: descriptor.rawValue, at: offset)
  }

  /// Writes the ranges of `vector` from byte `offset` of the disk on.
  ///
  /// - Returns: The bytes written; fewer than asked for if the file takes no more.
  public func write(
    _ vector: inout GuestIOVector,
    at offset: UInt64
  ) throws(SystemError) -> UInt64 {
    try vector.write(to: descriptor.rawValue, at: offset)
  }

  /// Returns when what was written before is on stable storage.
  public func flush() throws(SystemError) {
    let number = descriptor.rawValue
    _ = try retrying("fdatasync") { fdatasync(number) }
  }

  private static func open(
    _ path: String,
    readOnly: Bool
  ) throws(DiskImageError) -> OwnedFileDescriptor {
    // Not to wait for the other end, should the path be that of a named pipe.
    let flags = O_NONBLOCK | (readOnly ? O_RDONLY : O_RDWR)
    do throws(SystemError) {
      return try OwnedFileDescriptor(opening: path, flags)
    } catch {
      switch error.code {
      case ENOENT: throw .missing(path: path)
      case EISDIR: throw .directory(path: path)
      case EACCES, EROFS, EPERM, ETXTBSY:
        guard !readOnly, (try? OwnedFileDescriptor(opening: path, O_NONBLOCK | O_RDONLY)) != nil
        else { throw .unreadable(path: path, error) }
        throw .writeProtected(path: path, error)
      default: throw .unreadable(path: path, error)
      }
    }
  }

  private static func geometry(
    of descriptor: borrowing OwnedFileDescriptor,
    _ path: String
  ) throws(DiskImageError) -> (count: UInt64, blockSize: UInt64, isBlockDevice: Bool) {
    let number = descriptor.rawValue
    do throws(SystemError) {
      var status = stat()
      _ = try retrying("fstat") { unsafe fstat(number, &status) }
      let asked = UInt64(clamping: status.st_blksize)
      let isSensible = asked.nonzeroBitCount == 1 && (sectorSize...65536).contains(asked)
      let blockSize = isSensible ? asked : 4096
      switch status.st_mode & S_IFMT {
      case S_IFREG:
        return (UInt64(clamping: status.st_size), blockSize, false)
      case S_IFBLK:
        var size: UInt64 = 0
        _ = try retrying("ioctl(BLKGETSIZE64)") { unsafe apus_block_device_size(number, &size) }
        return (size, blockSize, true)
      case S_IFDIR:
        throw SystemError(call: "open", code: EISDIR)
      default:
        throw SystemError(call: "open", code: ENOTBLK)
      }
    } catch {
      switch error.code {
      case EISDIR: throw .directory(path: path)
      case ENOTBLK: throw .notADisk(path: path)
      default: throw .unreadable(path: path, error)
      }
    }
  }
}
