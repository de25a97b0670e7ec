import CLinux
public import HostOS

/// A piece of another process's memory file, mapped here until its last user lets go of it.
///
/// The other process may cut the file short at any time; what is gone then reads as zeroes, and
/// ``isBroken`` says so. The file's descriptor is not needed once it is mapped.
@safe
public final class SharedMapping: @unchecked Sendable {
  // Sendable: nothing changes but the bytes, which are reached by atomic or racing copies only.

  /// The length in bytes.
  public let count: UInt64
  /// The first byte.
  let address: UnsafeMutableRawPointer
  private let mapping: WatchedMapping

  /// Maps `count` bytes of a file from `offset` on, readable and writable.
  ///
  /// - Parameters:
  ///   - descriptor: The file, from another process; it may be anything.
  ///   - offset: Where in the file the piece starts.
  ///   - count: Its length in bytes.
  ///   - fault: Signalled when a page of it is found to be gone.
  /// - Throws: ``SharedMappingError``.
  public init(
    of descriptor: borrowing OwnedFileDescriptor,
    offset: UInt64,
    count: UInt64,
    fault: EventFD
  ) throws(SharedMappingError) {
    let (size, unit) = try Self.measure(descriptor)
    // Files of huge pages are mapped in whole ones.
    let start = offset & ~(unit - 1)
    let before = offset - start
    guard count > 0, offset <= size, count <= size - offset, count <= UInt64(Int.max) / 2,
      let from = Int(exactly: start),
      let whole = Int(exactly: (before + count + unit - 1) & ~(unit - 1))
    else { throw .tooShort(offset: offset, count: count, size: size) }
    do throws(SystemError) {
      mapping = try WatchedMapping(
        try MemoryMapping(of: descriptor, offset: from, count: whole),
        pageSize: Int(unit),
        waking: fault
      )
    } catch {
      throw .host(error)
    }
    self.count = count
    unsafe address = mapping.address + Int(before)
  }

  /// Whether a page of it was found to be gone.
  public var isBroken: Bool { mapping.isBroken }

  /// Those whose pages come without another process's or machine's help (linux/magic.h): tmpfs, hugetlbfs,
  /// ramfs, ext2 to ext4, XFS, Btrfs, F2FS and overlays.
  private static var localFileSystems: [Int64] {
    [
      0x0102_1994, 0x9584_58F6, 0x8584_58F6, 0xEF53, 0x5846_5342, 0x9123_683E, 0xF2F5_2010,
      0x794C_7630,
    ]
  }

  /// The size of a file and the unit in which it is mapped.
  private static func measure(
    _ descriptor: borrowing OwnedFileDescriptor
  ) throws(SharedMappingError) -> (size: UInt64, unit: UInt64) {
    let kind: DescriptorKind
    do throws(SystemError) {
      kind = try DescriptorKind(of: descriptor.rawValue)
    } catch {
      throw .host(error)
    }
    guard case .file(let size, let block) = kind else { throw .notMemory(kind) }
    let type = apus_file_system(descriptor.rawValue)
    guard localFileSystems.contains(type) else { throw .unreliable(fileSystem: type) }
    let isSensible = block.nonzeroBitCount == 1 && (4096...(1 << 30)).contains(block)
    return (size, isSensible ? block : 4096)
  }
}
