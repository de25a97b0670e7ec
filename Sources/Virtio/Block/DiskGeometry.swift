import CLinux
import Glibc
import HostOS

/// What the host says about a file or block device.
struct DiskGeometry {
  /// The size in bytes.
  let count: UInt64
  /// The block that is read and written at least; a power of 2 from 512 to 64 KiB.
  let blockSize: UInt64
  let isBlockDevice: Bool

  /// Asks about the disk at `path`.
  init(
    of descriptor: borrowing OwnedFileDescriptor,
    _ path: String
  ) throws(DiskImageError) {
    let number = descriptor.rawValue
    do throws(SystemError) {
      var status = stat()
      _ = try retrying("fstat") { unsafe fstat(number, &status) }
      let asked = UInt64(clamping: status.st_blksize)
      let isSensible = asked.nonzeroBitCount == 1 && (512...65536).contains(asked)
      blockSize = isSensible ? asked : 4096
      switch status.st_mode & S_IFMT {
      case S_IFREG:
        count = UInt64(clamping: status.st_size)
        isBlockDevice = false
      case S_IFBLK:
        var size: UInt64 = 0
        _ = try retrying("ioctl(BLKGETSIZE64)") { unsafe apus_block_device_size(number, &size) }
        count = size
        isBlockDevice = true
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

/// What direct I/O needs (open(2), `O_DIRECT`).
struct DirectAlignment {
  /// What addresses in memory are multiples of.
  let memory: UInt64
  /// What offsets and lengths are multiples of.
  let offset: UInt64

  /// What I/O through the page cache needs of a disk.
  static var none: Self { Self(memory: 1, offset: DiskImage.sectorSize) }

  private init(memory: UInt64, offset: UInt64) {
    self.memory = memory
    self.offset = max(offset, DiskImage.sectorSize)
  }

  /// Asks about a file that is open with `O_DIRECT`.
  ///
  /// - Throws: ``DiskImageError/notDirect(path:)`` if nothing that can be asked for is enough.
  init(
    of descriptor: borrowing OwnedFileDescriptor,
    _ path: String
  ) throws(DiskImageError) {
    var (memory, offset): (UInt32, UInt32) = (0, 0)
    let number = descriptor.rawValue
    // Since Linux 6.1, and not by every file system.
    let isTold = unsafe apus_direct_alignment(number, &memory, &offset) == 0
    if isTold, Self.isSensible(memory), Self.isSensible(offset) {
      self.init(memory: UInt64(memory), offset: UInt64(offset))
      return
    }
    let buffer = BounceBuffer(alignment: 65536)
    for step in [512, 1024, 2048, 4096, 65536] {
      let bytes = unsafe buffer.bytes(step, step)
      // SAFETY: the bytes are in the buffer.
      let result = DiskCalls.call { unsafe pread(number, bytes.baseAddress, step, 0) }
      guard result >= 0 else { continue }
      self.init(memory: UInt64(step), offset: UInt64(step))
      return
    }
    throw .notDirect(path: path)
  }

  private static func isSensible(_ alignment: UInt32) -> Bool {
    alignment.nonzeroBitCount == 1 && alignment <= 65536
  }
}
