import CLinux
import Glibc
public import HostOS
import Synchronization

/// A raw disk: a regular file or a block device, locked while it is open.
///
/// One writer, or any number of readers, hold it at a time, in this process and among those that lock
/// likewise (`F_OFD_SETLK` over the whole file). Any thread may call anything.
public final class DiskImage: Sendable {
  /// How requests are done on the host.
  public enum Engine: String, Sendable, CaseIterable {
    /// Through io_uring where the host has it, else by calls.
    case auto
    /// Through io_uring, many at once.
    case ring = "io_uring"
    /// By calls that return when they are done, one after the other.
    case calls = "sync"
  }

  /// How a disk is opened.
  public struct Options: Equatable, Sendable {
    /// Only to be read.
    public var isReadOnly: Bool
    /// Past the host's page cache (`O_DIRECT`).
    public var isDirect: Bool
    /// How requests are done.
    public var engine: Engine

    /// Chooses how a disk is opened.
    public init(isReadOnly: Bool = false, isDirect: Bool = false, engine: Engine = .auto) {
      self.isReadOnly = isReadOnly
      self.isDirect = isDirect
      self.engine = engine
    }
  }

  /// The bytes in a sector, the unit of virtio block requests.
  public static var sectorSize: UInt64 { 512 }

  /// The file's path, for messages.
  public let path: String
  /// Whether it was opened only to be read.
  public let isReadOnly: Bool
  /// Whether it is read and written past the host's page cache.
  public let isDirect: Bool
  /// Why the host refuses io_uring, where it was asked for one.
  public let ringRefusal: SystemError?

  /// The block that the host reads and writes at least, in bytes; a power of 2 from 512 to 64 KiB.
  public let blockSize: UInt64
  /// What offsets and lengths of direct I/O are multiples of; a power of 2, 512 without it.
  public let offsetAlignment: UInt64
  /// What addresses in memory are multiples of with direct I/O; a power of 2.
  let memoryAlignment: UInt64

  // Each of them 5 ms after the one before: three seconds.
  private static var lockAttempts: Int { 600 }

  let descriptor: OwnedFileDescriptor
  let isBlockDevice: Bool
  let caching: InlineTransfers.Caching
  let usesRing: Bool
  /// Held while a block is changed in part, with direct I/O.
  let splitBlocks = Mutex(())

  /// Whether the log has been told that there is no ring for a queue.
  let isNoticed = Atomic(false)
  private let size: Atomic<UInt64>
  private let mapping = Mutex<MappedFile?>(nil)
  // mincore(2) tells others that everything is in memory.
  private let isOwn: Bool

  /// Opens and locks the disk at `path`.
  public init(
    opening path: String,
    _ options: Options = Options()
  ) throws(DiskImageError) {
    self.path = path
    isReadOnly = options.isReadOnly
    isDirect = options.isDirect
    descriptor = try Self.open(path, options)
    let geometry = try DiskGeometry(of: descriptor, path)
    isBlockDevice = geometry.isBlockDevice
    blockSize = geometry.blockSize
    size = Atomic(geometry.count)
    guard geometry.count > 0 else { throw .empty(path: path) }
    guard geometry.count % Self.sectorSize == 0 else {
      throw .badSize(path: path, count: geometry.count, block: Self.sectorSize)
    }
    try Self.lock(descriptor, path, isReadOnly: isReadOnly)
    let alignment = isDirect ? try DirectAlignment(of: descriptor, path) : .none
    (memoryAlignment, offsetAlignment) = (alignment.memory, alignment.offset)
    guard geometry.count % offsetAlignment == 0 else {
      throw .badSize(path: path, count: geometry.count, block: offsetAlignment)
    }
    // Of a device, that would be said of where its name is: devtmpfs.
    let isInMemory = !isBlockDevice && apus_is_in_memory(descriptor.rawValue) != 0
    isOwn = Self.isOwn(descriptor)
    caching = isInMemory ? .memory : isDirect ? .none : .pageCache
    ringRefusal = options.engine == .calls ? nil : Self.tryRing()
    usesRing = options.engine != .calls && ringRefusal == nil
    if options.engine == .ring, let ringRefusal { throw .noRing(path: path, ringRefusal) }
  }

  /// Opens and locks the disk at `path`, otherwise as is usual.
  public convenience init(opening path: String, readOnly: Bool) throws(DiskImageError) {
    try self.init(opening: path, Options(isReadOnly: readOnly))
  }

  /// The size in bytes, as it was found last; a multiple of ``sectorSize``.
  public var count: UInt64 { size.load(ordering: .relaxed) }

  /// Looks how large the file or device is by now.
  ///
  /// - Returns: The size, without a part of a block at the end.
  /// - Throws: ``DiskImageError`` if the host does not tell; then the size stays as it was.
  @discardableResult
  public func measure() throws(DiskImageError) -> UInt64 {
    let found = try DiskGeometry(of: descriptor, path).count
    let count = found / offsetAlignment * offsetAlignment
    size.store(count, ordering: .relaxed)
    return count
  }

  /// The file as it is mapped to be read, if it can be and has kept what it had.
  ///
  /// One for all queues, made anew when the file has grown or the mapping is used up.
  func mappedFile() -> MappedFile? {
    guard caching == .pageCache || caching == .memory && isOwn else { return nil }
    return mapping.withLock { mapped in
      if let mapped {
        // A file that became shorter once may do so again.
        if mapped.isBroken { return nil }
        if mapped.count >= count, !mapped.isUsedUp { return mapped }
      }
      mapped = try? MappedFile(descriptor, count: count)
      return mapped
    }
  }

  private static func isOwn(_ descriptor: borrowing OwnedFileDescriptor) -> Bool {
    var status = stat()
    return unsafe fstat(descriptor.rawValue, &status) == 0 && status.st_uid == geteuid()
  }

  /// Locks the whole file, with some patience.
  ///
  /// A process that was killed holds its lock until the kernel has ended what its io_uring had under way,
  /// a moment after the process is gone; and one in a sandbox dies only after its monitor has. That is as
  /// well: a write of the dead one's cannot come after one of ours.
  private static func lock(
    _ descriptor: borrowing OwnedFileDescriptor,
    _ path: String,
    isReadOnly: Bool
  ) throws(DiskImageError) {
    for attempt in 0... {
      guard apus_lock_file(descriptor.rawValue, isReadOnly ? 0 : 1) != 0 else { return }
      let code = errno
      guard code == EAGAIN || code == EACCES else {
        throw .unreadable(path: path, SystemError(call: "fcntl(F_OFD_SETLK)", code: code))
      }
      guard attempt < Self.lockAttempts else { throw .inUse(path: path, isReadOnly: isReadOnly) }
      usleep(5000)
    }
  }

  private static func open(
    _ path: String,
    _ options: Options
  ) throws(DiskImageError) -> OwnedFileDescriptor {
    // Not to wait for the other end, should the path be that of a named pipe.
    let flags = O_NONBLOCK | (options.isDirect ? apus_o_direct() : 0)
    do throws(SystemError) {
      let mode = options.isReadOnly ? O_RDONLY : O_RDWR
      let descriptor = try OwnedFileDescriptor(opening: path, flags | mode)
      // io_uring would give up where it can go on otherwise.
      let number = descriptor.rawValue
      _ = try retrying("fcntl(F_SETFL)") {
        apus_fcntl(number, F_SETFL, Int(flags & ~O_NONBLOCK))
      }
      return descriptor
    } catch {
      switch error.code {
      case ENOENT: throw .missing(path: path)
      case EISDIR: throw .directory(path: path)
      case EINVAL where options.isDirect: throw .notDirect(path: path)
      case EACCES, EROFS, EPERM, ETXTBSY:
        guard !options.isReadOnly,
          (try? OwnedFileDescriptor(opening: path, O_NONBLOCK | O_RDONLY)) != nil
        else { throw .unreadable(path: path, error) }
        throw .writeProtected(path: path, error)
      default: throw .unreadable(path: path, error)
      }
    }
  }

  private static func tryRing() -> SystemError? {
    do throws(SystemError) {
      _ = try IOUring(capacity: 1, files: [])
      return nil
    } catch {
      return error
    }
  }
}
