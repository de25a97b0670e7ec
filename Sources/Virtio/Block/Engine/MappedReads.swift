import CLinux
import Glibc
import GuestMemory
import HostOS

/// Reads of what is in the host's memory out of a mapping of the file, for one queue and on its thread.
///
/// What is not in memory would hold the thread up, as a page fault that reads from the disk. Of a file on tmpfs the
/// kernel is asked. Of one in the page cache, a page counts as there when it has been read, until a copy was slow because
/// one was not: then none does, and for a while nothing is read in this way.
struct MappedReads: ~Copyable {
  // More than this is left to others, so that the thread gets on.
  private static var limit: UInt64 { 128 << 10 }
  // On tmpfs, a look and a copy are faster than a call from so many bytes on.
  private static var leastLook: UInt64 { 16 << 10 }
  // A copy that takes longer, in nanoseconds, has waited for something.
  private static var stall: UInt64 { 50_000 }
  private static var stallPause: UInt64 { 100_000_000 }
  private static var pageShift: UInt64 { 12 }

  private let image: DiskImage
  private var file: MappedFile?
  // Those that were there.
  private var pages: PageSet
  // When copies are tried again.
  private var again: UInt64 = 0
  private var faultCount: Int

  init(_ image: DiskImage) {
    self.image = image
    file = image.mappedFile()
    pages = Self.noPages(of: file)
    faultCount = apus_major_faults()
  }

  /// Whether there is a mapping, of a file that is in memory and nowhere else.
  var isOfMemory: Bool { image.caching == .memory && file != nil }

  /// Does all that is left of a read, if it is known to be in memory.
  ///
  /// - Returns: Whether it has ended.
  mutating func perform(_ request: inout DiskRequest) -> Bool {
    guard case .read = request.action, let file, request.leftCount <= Self.limit else {
      return false
    }
    if file.isBroken || file.isUsedUp || file.count < image.count { renew() }
    let number = image.descriptor.rawValue
    if image.caching == .memory {
      guard request.leftCount >= Self.leastLook, file.holds(request),
        let count = file.read(request, of: number)
      else { return false }
      return request.advance(count)
    }
    guard wasThere(request.offset, request.leftCount) else { return false }
    let start = MonotonicClock.nanoseconds
    guard start >= again else { return false }
    let count = file.read(request, of: number)
    let end = MonotonicClock.nanoseconds
    if end &- start > Self.stall { checkFaults(at: end) }
    guard let count else { return false }
    return request.advance(count)
  }

  /// Notes that so many bytes from `offset` on were read through the page cache.
  mutating func note(_ offset: UInt64, _ count: Int) {
    guard image.caching == .pageCache, let file, count > 0, offset < file.count else { return }
    let last = min(offset &+ UInt64(count), file.count) &- 1
    file.noteUse(pages.insert(offset >> Self.pageShift, through: last >> Self.pageShift))
  }

  private func wasThere(_ offset: UInt64, _ count: UInt64) -> Bool {
    guard count > 0 else { return false }
    let last = (offset &+ count &- 1) >> Self.pageShift
    return pages.contains(offset >> Self.pageShift, through: last)
  }

  private mutating func forgetAll() { pages = Self.noPages(of: file) }

  private static func noPages(of file: MappedFile?) -> PageSet {
    PageSet(count: file.map { ($0.count - 1) >> pageShift + 1 } ?? 0)
  }

  private mutating func renew() {
    file = image.mappedFile()
    forgetAll()
  }

  /// Finds out whether a slow copy waited for the disk, and not for a processor.
  private mutating func checkFaults(at now: UInt64) {
    let count = apus_major_faults()
    guard count != faultCount else { return }
    faultCount = count
    forgetAll()
    again = now &+ Self.stallPause
  }
}
