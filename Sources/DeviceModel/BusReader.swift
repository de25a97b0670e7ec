import CLinux
import HostOS
import Synchronization

/// The words that one reading thread writes and updating threads read, in cache lines of their own.
struct BusReaderRecord: ~Copyable {
  /// Odd while the thread is inside an access; grows with each, so that a waiting writer can tell a reader
  /// that stayed from one that came back.
  let active = Atomic<UInt>(0)
  /// The thread in the access, by `apus_thread_token`; meaningful while `active` is odd.
  let owner = Atomic<UInt>(0)
  /// What the reader has to do besides reading; see ``BusReader/Flag``.
  let flags = Atomic<UInt>(0)
  /// Accesses that nobody claimed, wholly or in part.
  let unclaimed = Atomic<UInt64>(0)
}

/// A ``BusView`` as the buses that it reads see it: is it inside an access, and since when.
///
/// Its own thread writes ``record``; any thread reads it. Outlives the view while an update still waits
/// for it.
@safe
final class BusReader: @unchecked Sendable {
  /// Bits of ``BusReaderRecord/flags``.
  enum Flag {
    /// A retired table waits for this reader: reclaim on leaving.
    static var reclaim: UInt { 1 }
    /// No membarrier here: fences on entering and leaving.
    static var fences: UInt { 2 }
  }

  // Two lines, since processors fetch lines in pairs.
  private static let alignment = 128

  // Sendable: the pointer never changes, and what it points to is atomic.
  let record: UnsafeMutablePointer<BusReaderRecord>

  init(fences: Bool) {
    let memory = UnsafeMutableRawPointer.allocate(
      byteCount: Self.alignment,
      alignment: Self.alignment
    )
    unsafe record = memory.initializeMemory(
      as: BusReaderRecord.self,
      to: BusReaderRecord()
    )
    if fences { unsafe record.pointee.flags.store(Flag.fences, ordering: .relaxed) }
  }

  deinit {
    unsafe record.deinitialize(count: 1).deallocate()
  }

  /// The current access's number, or `nil` if the reader is in none.
  var access: UInt? {
    // Pairs with the releasing stores of BusView.enter and leave.
    let active = unsafe record.pointee.active.load(ordering: .acquiring)
    return active & 1 == 1 ? active : nil
  }

  /// Whether the calling thread is inside an access of this reader.
  var isEnteredByThisThread: Bool {
    if access == nil { return false }
    return unsafe record.pointee.owner.load(ordering: .relaxed) == apus_thread_token()
  }

  /// Accesses that nobody claimed so far.
  var unclaimed: UInt64 { unsafe record.pointee.unclaimed.load(ordering: .relaxed) }

  /// Has the reader reclaim when it leaves the access that it is in.
  func requestReclaim() {
    unsafe record.pointee.flags.bitwiseOr(Flag.reclaim, ordering: .relaxed)
  }
}

/// A reader's access that was under way when a table was retired.
struct BusAccessInProgress: Sendable {
  let reader: BusReader
  let access: UInt

  /// Whether the reader has left that access.
  var isOver: Bool { reader.access != access }
}

/// All readers of the process.
///
/// An update asks it whether its thread is inside an access, on whichever bus: then it must not wait.
enum BusReaders {
  private static let all = Mutex<[BusReader]>([])

  static func add(_ reader: BusReader) { all.withLock { $0.append(reader) } }

  static func remove(_ reader: BusReader) { all.withLock { $0.removeAll { $0 === reader } } }

  /// Whether the calling thread is inside an access.
  static var thisThreadIsInside: Bool {
    all.withLock { $0.contains { $0.isEnteredByThisThread } }
  }
}
