import CLinux
import Glibc
public import HostOS
import Synchronization

/// The guest's RAM: regions of one memory file of our own, or of those of another process, shared with
/// running vCPUs and with other processes.
///
/// The guest may write any byte at any time, so no `Span`, buffer, or reference to it is ever
/// handed out: callers load values or copy bytes, once, and then check what they got. An access may
/// cross from one region into the next where they touch; one that leaves RAM is an error.
/// The layout never changes, so any thread may call anything without a lock.
@safe
public final class GuestMemory: @unchecked Sendable {
  // Sendable: the layout is immutable, and the bytes are reached by atomic or racing copies only.

  /// Size of a page, the unit of a region's start and length.
  public static var pageSize: UInt64 { 4096 }

  /// The regions, by ascending address, without overlap.
  public let regions: [GuestRegion]
  /// The memory file, for another process or for KVM; its first byte is the first region's.
  ///
  /// `nil` where the memory belongs to another process.
  public let file: OwnedFileDescriptor?
  /// Where writes are noted, if they are.
  public let dirtyLog: DirtyLog?
  /// What is reached by asking, if anything is.
  public let distant: DistantMemory?
  // Whether anybody has to be told of a write.
  @usableFromInline let isLogged: Bool
  @usableFromInline let table: MemoryTable
  private let mapping: MemoryMapping?
  private let shared: [SharedRegion]

  /// How the memory file is made.
  public struct Options: Sendable {
    /// Back the memory with huge pages of the default size (hugetlbfs), taken from the host's pool.
    public var usesHugePages: Bool

    /// Chooses how the memory file is made.
    public init(usesHugePages: Bool = false) { self.usesHugePages = usesHugePages }
  }

  /// Makes zeroed memory with the given layout; no page is touched until it is used.
  ///
  /// - Parameters:
  ///   - ranges: Start and length of each region, page-aligned, ascending, without overlap.
  ///   - options: How the memory file is made.
  /// - Throws: `SystemError` if the host cannot provide the memory; `ENOMEM` if its pool of huge pages
  ///   has too few free ones.
  public init(
    _ ranges: [(start: GuestAddress, count: UInt64)],
    options: Options = Options()
  ) throws(SystemError) {
    var regions: [GuestRegion] = []
    var total: UInt64 = 0
    for range in ranges {
      precondition(
        range.count > 0 && (range.start.rawValue | range.count) % Self.pageSize == 0
          && regions.last.map { $0.end <= range.start } ?? true
          && range.start.rawValue <= UInt64.max - range.count,
        "bad region of \(range.count) bytes at \(range.start)"
      )
      regions.append(GuestRegion(start: range.start, count: range.count, fileOffset: total))
      total += range.count
    }
    precondition(total > 0, "guest memory without a region")
    let flags =
      MFD_CLOEXEC | MFD_ALLOW_SEALING | (options.usesHugePages ? MFD_HUGETLB : 0)
    let number = try retrying("memfd_create") { unsafe apus_memfd_create("apus-ram", flags) }
    let file = OwnedFileDescriptor(adopting: number)
    // A file of huge pages consists of whole ones; what it reports as its block is their size.
    let unit = options.usesHugePages ? try Self.blockSize(of: number) : Self.pageSize
    guard total <= UInt64(Int.max) - unit else {
      throw SystemError(call: "ftruncate", code: EFBIG, subject: "guest memory to \(total) bytes")
    }
    let size = Int((total + unit - 1) / unit * unit)
    _ = try retrying("ftruncate", "guest memory to \(size) bytes") { ftruncate(number, size) }
    // Processes of devices have the file: none of them may cut it, which would kill all others at their next
    // access, nor seal it for those that come after (fcntl(2)).
    _ = try retrying("fcntl(F_ADD_SEALS)", "guest memory") { apus_seal_size(number) }
    // A huge page that is not reserved now could be missing at its first use, which kills a process.
    let mapping = try MemoryMapping(of: file, count: size, reservingPages: options.usesHugePages)
    // Where the kernel may (`shmem_enabled` in /sys/kernel/mm/transparent_hugepage), the guest's first
    // touch then costs one fault in 2 MiB, not 512 of them.
    mapping.preferHugePages()
    let base = unsafe UInt(bitPattern: mapping.address)
    table = MemoryTable(
      regions.map {
        MemoryTable.Entry(
          start: $0.start.rawValue,
          count: $0.count,
          address: base + UInt($0.fileOffset)
        )
      }
    )
    self.regions = regions
    self.file = consume file
    self.mapping = consume mapping
    shared = []
    dirtyLog = nil
    distant = nil
    isLogged = false
  }

  /// Puts memory of another process together.
  ///
  /// - Parameters:
  ///   - shared: The regions, in any order, without overlap; none is allowed too.
  ///   - distant: What is not mapped but reached by asking; it overlaps none of the regions.
  ///   - log: Where writes through this object are noted.
  public init(shared: [SharedRegion], distant: DistantMemory? = nil, log: DirtyLog? = nil) {
    let sorted = shared.sorted { $0.start < $1.start }
    for (lower, upper) in zip(sorted, sorted.dropFirst()) {
      precondition(
        lower.count <= upper.start.rawValue - lower.start.rawValue,
        "regions overlap at \(upper.start)"
      )
    }
    precondition(
      sorted.allSatisfy { $0.start.rawValue <= UInt64.max - $0.count },
      "a region beyond the end of the address space"
    )
    table = MemoryTable(
      sorted.map {
        MemoryTable.Entry(
          start: $0.start.rawValue,
          count: $0.count,
          address: unsafe UInt(bitPattern: $0.mapping.address)
        )
      }
    )
    regions = sorted.map { GuestRegion(start: $0.start, count: $0.count, fileOffset: 0) }
    file = nil
    mapping = nil
    self.shared = sorted
    dirtyLog = log
    self.distant = distant
    isLogged = log != nil || distant != nil
  }

  /// Makes one region of `count` zeroed bytes at guest address 0, for tests and tools.
  public convenience init(count: UInt64) throws(SystemError) {
    try self.init([(GuestAddress(0), count)])
  }

  private static func blockSize(of number: Int32) throws(SystemError) -> UInt64 {
    var status = stat()
    _ = try retrying("fstat", "guest memory") { unsafe fstat(number, &status) }
    return UInt64(clamping: max(status.st_blksize, 1))
  }

  /// The host's address of a region, for KVM's memory slots.
  ///
  /// Valid while this object lives.
  public func unsafeHostAddress(of region: GuestRegion) -> UInt {
    table.find(region.start.rawValue).address
  }

  /// Whether host I/O into the memory has to be told of afterwards (``GuestIOVector/noteWritten()``).
  public var notesWrites: Bool { isLogged }

  /// Whether all of `count` bytes at `address` are RAM.
  public func contains(_ address: GuestAddress, count: UInt64) -> Bool {
    var address = address
    var left = count
    while left > 0 {
      let size: UInt64
      if let run = unsafe try? run(at: address, atMost: left) {
        size = UInt64(run.count)
      } else {
        guard isLogged else { return false }
        size = distantCount(at: address, atMost: left)
        guard size > 0 else { return false }
      }
      left -= size
      address = address &+ size
    }
    return true
  }

  /// How many bytes at `address` are to be asked for, up to `count`.
  @inline(never)
  private func distantCount(at address: GuestAddress, atMost count: UInt64) -> UInt64 {
    distant?.run(at: address, atMost: count) ?? 0
  }

  /// What is to be asked for at `address`, and how many bytes of it there are, up to `count`.
  func distantRun(
    at address: GuestAddress,
    atMost count: UInt64
  ) throws(GuestMemoryError) -> (memory: DistantMemory, count: UInt64) {
    guard let distant, case let size = distant.run(at: address, atMost: count), size > 0 else {
      throw GuestMemoryError(address: address, count: count)
    }
    return (distant, size)
  }

  /// The longest run at `address` that is contiguous in the host too, up to `count` bytes.
  @inlinable
  func run(
    at address: GuestAddress,
    atMost count: UInt64
  ) throws(GuestMemoryError) -> UnsafeMutableRawBufferPointer {
    let entry = table.find(address.rawValue)
    let offset = address.rawValue &- entry.start
    guard offset < entry.count else { throw GuestMemoryError(address: address, count: count) }
    // SAFETY: `offset` is below the length of the region, all of which is mapped.
    return unsafe UnsafeMutableRawBufferPointer(
      start: UnsafeMutableRawPointer(bitPattern: entry.address &+ UInt(offset)),
      count: Int(min(count, entry.count &- offset))
    )
  }

  /// Notes that bytes were written, where that is noted.
  @inlinable
  @inline(__always)
  func noteWrite(_ address: GuestAddress, count: UInt64) {
    if isLogged { markDirty(address, count: count) }
  }

  /// Notes that bytes were written by other means than this object's, such as host I/O; to be called
  /// after that.
  @inline(never)
  @usableFromInline
  func markDirty(_ address: GuestAddress, count: UInt64) {
    dirtyLog?.mark(address, count: count)
  }
}
