import CLinux
import HostOS
import Synchronization

/// The words that one reading thread writes and updating threads read, in cache lines of their own.
struct BusReaderRecord: ~Copyable {
  /// Where the thread is; see ``BusReader/Mark``.
  let active: Atomic<UInt>
  /// The thread in the access, by `apus_thread_token`; meaningful during one.
  let owner = Atomic<UInt>(0)
  /// Whether a retired table waits for this reader, so that it has to reclaim on leaving.
  let reclaims = Atomic<Bool>(false)
  /// Accesses that nobody claimed, wholly or in part.
  let unclaimed = Atomic<UInt64>(0)

  init(mark: UInt) { active = Atomic(mark) }
}

/// A ``BusView`` as the buses that it reads see it: is it inside an access, and since when.
///
/// Its own thread writes ``record``; any thread reads it. Outlives the view while an update still waits
/// for it.
@safe
final class BusReader: @unchecked Sendable {
  /// The parts of ``BusReaderRecord/active``.
  enum Mark {
    /// The thread is inside an access.
    static var inside: UInt { 1 }
    /// The thread needs fences, since there is no ``ProcessBarrier``.
    static var fences: UInt { 2 }
    /// Added by each access, so that a waiting update can tell a reader that stayed from one that came back.
    static var step: UInt { 4 }

    /// Whether an access can begin without further ado.
    @inline(__always)
    static func isPlain(_ mark: UInt) -> Bool { mark & (inside | fences) == 0 }
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
      to: BusReaderRecord(mark: fences ? Mark.fences : 0)
    )
  }

  deinit {
    unsafe record.deinitialize(count: 1).deallocate()
  }

  /// The current access's number, or `nil` if the reader is in none.
  var access: UInt? {
    // Pairs with the releasing stores of BusView.enter and leave.
    let active = unsafe record.pointee.active.load(ordering: .acquiring)
    return active & Mark.inside != 0 ? active : nil
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
    unsafe record.pointee.reclaims.store(true, ordering: .relaxed)
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
