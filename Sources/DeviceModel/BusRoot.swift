import Synchronization

/// The one word through which readers find the current table.
///
/// It has cache lines of its own: readers share them, and only an update writes.
@safe
struct BusRoot: @unchecked Sendable {
  // Sendable: the pointer never changes, and what it points to is atomic.
  private let word: UnsafeMutablePointer<Atomic<UnsafeRawPointer?>>

  init() {
    let memory = UnsafeMutableRawPointer.allocate(byteCount: 128, alignment: 128)
    unsafe word = memory.initializeMemory(as: Atomic<UnsafeRawPointer?>.self, to: Atomic(nil))
  }

  /// The current table; the caller is inside an access.
  @inline(__always)
  func load() -> BusTable? {
    // Acquires what `publish` released: the table's contents.
    guard let memory = unsafe word.pointee.load(ordering: .acquiring) else { return nil }
    return unsafe BusTable(memory: memory)
  }

  /// Makes `table` the one that readers find.
  func publish(_ table: BusTable?) {
    unsafe word.pointee.store(table?.memory, ordering: .releasing)
  }

  /// Frees the word; no reader is left.
  func free() {
    unsafe word.deinitialize(count: 1).deallocate()
  }
}
