import Synchronization

/// What can change of a disk while it is in use; any thread may look and change.
final class BlockState: Sendable {
  private let bytes: Atomic<UInt64>
  private let caching: Atomic<Bool>

  init(count: UInt64) {
    bytes = Atomic(count)
    caching = Atomic(true)
  }

  /// The size of the disk in bytes, as the driver is told.
  var count: UInt64 {
    get { bytes.load(ordering: .relaxed) }
    set { bytes.store(newValue, ordering: .relaxed) }
  }

  /// Whether a write may be completed before it is on stable storage.
  var isCaching: Bool {
    get { caching.load(ordering: .relaxed) }
    set { caching.store(newValue, ordering: .relaxed) }
  }
}
