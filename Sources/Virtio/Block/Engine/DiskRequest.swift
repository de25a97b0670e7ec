import Glibc
import GuestMemory

/// One request of a driver that is under way: what has to be done for it, how far that has come, and
/// how it is answered.
///
/// Lives in a ``DiskRequests`` and is used for request after request. An engine does what
/// ``action`` says, and tells how that went with ``advance(_:)``, until the request has ended.
struct DiskRequest: ~Copyable {
  /// What the driver wants.
  enum Operation {
    case read
    case write
    case flush
    case discard
    case zero(mayUnmap: Bool)
  }

  /// The next thing to do on the host.
  enum Action {
    /// Fill ``vector`` from ``offset`` on.
    case read
    /// Write ``vector`` from ``offset`` on.
    case write
    /// Bring what has been written to stable storage.
    case synchronize
    /// Give up what ``range`` says.
    case discard
    /// Have ``range`` read as zeroes.
    case zero(mayUnmap: Bool)
    /// Write zeroes, ``leftCount`` of them from ``offset`` on.
    case fill
  }

  /// Why a request has not been done.
  enum Failure: Equatable {
    /// The host says so, with this errno.
    case host(Int32)
    /// The host has gone no further than so many bytes.
    case short(UInt64)
  }

  /// Bytes of the disk.
  struct Range: BitwiseCopyable {
    let offset: UInt64
    let count: UInt64
  }

  /// What completes the request.
  var ticket = ChainTicket()
  /// Where its status goes.
  var status = GuestAddress(0)
  /// Its data.
  var vector: GuestIOVector
  /// What it may take of the room for buffers of its own, in bytes; only where memory is distant.
  var heldCount: UInt64 = 0
  /// Where the next byte is on the disk.
  private(set) var offset: UInt64 = 0
  /// Why it failed, once it has ended.
  private(set) var failure: Failure?
  /// What the driver wants.
  private(set) var operation = Operation.flush
  /// The next thing to do.
  private(set) var action = Action.synchronize

  private var doneLength: UInt32 = 0
  private var failedLength: UInt32 = 0
  private var isDurable = false
  private var synchronizesWrites = false
  private var start: UInt64 = 0
  private var total: UInt64 = 0
  private var left: UInt64 = 0
  // Made when there first are some, and kept.
  private var ranges: [Range] = []
  private var current = 0

  init(in memory: GuestMemory) {
    vector = GuestIOVector(memory)
  }

  /// The bytes of the current discard or zeroing.
  var range: Range { ranges[current] }

  /// Whether what comes next writes.
  var changesData: Bool {
    if case .read = action { false } else { true }
  }

  /// How many bytes of the transfer, or zeroes, are left.
  var leftCount: UInt64 { left }

  /// How many bytes the request moves, where the host has no shorter way; 0 for one that moves none.
  var count: UInt64 {
    switch operation {
    case .read, .write, .zero: total
    case .flush, .discard: 0
    }
  }

  /// Begins a transfer of all of ``vector``.
  ///
  /// - Parameters:
  ///   - operation: A read or a write.
  ///   - offset: The first byte of the disk.
  ///   - isDurable: Whether a write ends only when it is on stable storage.
  mutating func begin(_ operation: Operation, at offset: UInt64, isDurable: Bool = false) {
    self.operation = operation
    self.offset = offset
    self.isDurable = isDurable
    start = offset
    total = vector.count
    left = vector.count
    failure = nil
    synchronizesWrites = false
    if case .write = operation { action = .write } else { action = .read }
  }

  /// Begins a flush.
  mutating func beginFlush() {
    operation = .flush
    action = .synchronize
    isDurable = false
    (start, total, left) = (0, 0, 0)
    failure = nil
  }

  /// Forgets all ranges, for those of a new request.
  mutating func removeRanges() { ranges.removeAll(keepingCapacity: true) }

  /// Adds a range to discard or zero.
  mutating func append(_ range: Range) { ranges.append(range) }

  /// Begins to discard or zero the ranges that were added; at least one.
  mutating func beginRanges(_ operation: Operation, isDurable: Bool) {
    self.operation = operation
    self.isDurable = isDurable
    current = 0
    start = ranges[0].offset
    total = ranges.reduce(0) { $0 &+ $1.count }
    failure = nil
    beginRange()
  }

  /// Whether the transfer is to be on stable storage when it ends.
  var isDurableWrite: Bool { isDurable }

  /// Notes how many bytes the driver can write to, and how many of them are used.
  mutating func noteRoom(_ room: UInt64, filled: UInt64) {
    // 2.7.8.2: the length counts bytes from the first on, the status after the data only if there is
    // no gap.
    doneLength = UInt32(clamping: filled == room ? room + 1 : filled)
    failedLength = room == 0 ? 1 : 0
  }

  /// How many bytes the driver finds written when it gets this status.
  func written(_ status: BlockRequestStatus) -> UInt32 {
    status == .ok ? doneLength : failedLength
  }

  /// How fallocate(2) does the current discard or zeroing.
  var allocationMode: Int32 {
    // `FALLOC_FL_KEEP_SIZE`, with `FALLOC_FL_PUNCH_HOLE` or `FALLOC_FL_ZERO_RANGE`.
    if case .zero(mayUnmap: false) = action { 0x01 | 0x10 } else { 0x01 | 0x02 }
  }

  /// What is wanted, for the log.
  var description: String {
    switch operation {
    case .read: "read of \(total) bytes at \(start)"
    case .write: "write of \(total) bytes at \(start)"
    case .flush: "flush"
    case .discard: "discard of \(total) bytes at \(start)"
    case .zero: "write-zeroes of \(total) bytes at \(start)"
    }
  }

  /// Notes what ``action`` came to.
  ///
  /// - Parameter result: How many bytes it moved, 0 for what moves none, or a negative errno.
  /// - Returns: Whether the request has ended; otherwise ``action`` is what comes next.
  mutating func advance(_ result: Int) -> Bool {
    switch action {
    case .read, .write:
      guard result > 0 || left == 0 else { return end(result) }
      vector.skip(UInt64(result))
      guard move(UInt64(result)) else { return false }
      guard isDurable, synchronizesWrites else { return true }
      action = .synchronize
      return false
    case .fill:
      guard result > 0 else { return end(result) }
      return move(UInt64(result)) ? endRange() : false
    case .synchronize:
      guard result >= 0 else { return end(result) }
      return true
    case .discard:
      // What cannot be given up is kept, which is as good.
      guard result >= 0 || Self.isUnsupported(result) else { return end(result) }
      return endRange()
    case .zero:
      if Self.isUnsupported(result) {
        action = .fill
        return false
      }
      guard result >= 0 else { return end(result) }
      return endRange()
    }
  }

  /// Has a write that is to end on stable storage end with a flush, where it cannot ask for that itself.
  mutating func synchronizeWrites() { synchronizesWrites = true }

  /// Ends the request without having done it.
  mutating func fail(_ code: Int32) { failure = .host(code) }

  /// Notes that so many bytes of the transfer are done.
  private mutating func move(_ count: UInt64) -> Bool {
    let count = min(count, left)
    left &-= count
    offset &+= count
    return left == 0
  }

  private mutating func beginRange() {
    offset = ranges[current].offset
    left = ranges[current].count
    if case .zero(let mayUnmap) = operation {
      action = .zero(mayUnmap: mayUnmap)
    } else {
      action = .discard
    }
  }

  private mutating func endRange() -> Bool {
    current += 1
    if current < ranges.count {
      beginRange()
      return false
    }
    guard isDurable else { return true }
    action = .synchronize
    return false
  }

  private mutating func end(_ result: Int) -> Bool {
    failure = result < 0 ? .host(Int32(truncatingIfNeeded: -result)) : .short(total &- left)
    return true
  }

  /// Whether the host does not know how to do it, or not there: it is no whole block.
  static func isUnsupported(_ result: Int) -> Bool {
    [EOPNOTSUPP, ENOTTY, ENOSYS, EINVAL].contains { result == Int(-$0) }
  }
}
