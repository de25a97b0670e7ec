import CLinux
import Glibc
import GuestMemory
import HostOS
import Synchronization

/// A file, mapped to be read without a call, for all queues of a disk.
///
/// A copy out of a mapping takes a third of the time of a call where the file is on tmpfs and the read long, and less
/// than half where it is short and in ext4's page cache. Any thread may read.
@safe
final class MappedFile: Sendable {
  /// So many pages may be read; the tables behind them take 1/512 of that.
  private static var useLimit: Int { (4 << 30) / 4096 }

  /// The bytes that are mapped.
  let count: UInt64

  private let mapping: WatchedMapping
  private let uses = Atomic(0)

  /// Maps the first `count` bytes of a file.
  ///
  /// - Throws: `SystemError`, where the address space or the number of watched mappings is used up.
  init(_ descriptor: borrowing OwnedFileDescriptor, count: UInt64) throws(SystemError) {
    let size = Int(clamping: count)
    mapping = try WatchedMapping(
      try MemoryMapping(of: descriptor, count: size, isReadOnly: true),
      pageSize: sysconf(Int32(_SC_PAGESIZE)),
      // Nobody waits for it: every read looks.
      waking: try EventFD()
    )
    self.count = UInt64(size)
  }

  /// Whether the file was found to have become shorter, or the host to be unable to read it: the mapping is of no use
  /// any more.
  var isBroken: Bool { mapping.isBroken }

  /// Whether another mapping should take its place, so that its tables do not grow for ever.
  var isUsedUp: Bool { uses.load(ordering: .relaxed) > Self.useLimit }

  /// Notes that so many pages more will be read.
  func noteUse(_ count: Int) {
    if count > 0 { uses.wrappingAdd(count, ordering: .relaxed) }
  }

  /// Whether all of what `request` reads next is in memory (mincore(2)), without reading it.
  func holds(_ request: borrowing DiskRequest) -> Bool {
    guard covers(request) else { return false }
    // SAFETY: the bytes are mapped.
    let start = unsafe mapping.address + Int(request.offset)
    return unsafe apus_is_resident(start, Int(request.leftCount)) != 0
  }

  /// Copies what `request` reads next.
  ///
  /// - Parameters:
  ///   - request: A read.
  ///   - file: The descriptor of what is mapped.
  /// - Returns: How many bytes were copied; `nil` if it is to be read otherwise.
  func read(_ request: borrowing DiskRequest, of file: Int32) -> Int? {
    guard covers(request), !isBroken else { return nil }
    let count = Int(request.leftCount)
    let start = unsafe UnsafeRawPointer(mapping.address) + Int(request.offset)
    // SAFETY: the bytes are mapped while this lives. Others may write them meanwhile, as with read(2): they are only
    // copied.
    let bytes = unsafe RawSpan(_unsafeStart: start, byteCount: count)
    let copied = request.vector.store(bytes, at: 0, isNoted: false)
    // Zeroes in place of what is gone are read again, by a call that says so.
    guard !isBroken else { return nil }
    // Where the file ends in the last page of these by now, all from there on is zeroes, which break nothing.
    let tail = min(count, MemoryLayout<UInt64>.size)
    var last: UInt64 = 0
    // SAFETY: these bytes are the last of those above.
    unsafe withUnsafeMutableBytes(of: &last) { word in
      unsafe word.copyMemory(
        from: UnsafeRawBufferPointer(start: start + (count - tail), count: tail)
      )
    }
    guard last == 0 else { return copied }
    var status = stat()
    guard unsafe fstat(file, &status) == 0 else { return nil }
    let isDevice = status.st_mode & S_IFMT == S_IFBLK
    return isDevice || status.st_size >= request.offset + request.leftCount ? copied : nil
  }

  private func covers(_ request: borrowing DiskRequest) -> Bool {
    request.offset <= count && request.leftCount <= count - request.offset
  }
}
