/// Holds completions back until those of all earlier chains are there, for drivers that rely on the
/// order (`VIRTIO_F_IN_ORDER`; virtio 1.2, 2.7.9 and 2.8.8).
///
/// A queue never has more chains out than it has entries, so a table of that many is enough; it is
/// made once. Every chain gets an entry of the used ring of its own: one for a whole batch would
/// say that all buffers before its last were filled to the end.
@safe
struct CompletionOrder: ~Copyable {
  /// A completion that waits for its turn.
  struct Entry: BitwiseCopyable {
    var ticket = ChainTicket()
    var written: UInt32 = 0
    var isComplete = false
  }

  /// Whether the driver relies on the order.
  let isKept: Bool
  // By turn, which runs from 0 to the size and begins anew.
  private let entries: UnsafeMutableBufferPointer<Entry>
  private var next = 0
  private var oldest = 0

  /// Keeps the order of a queue of `size` entries, or no order at all.
  init(size: UInt16, isKept: Bool) {
    self.isKept = isKept
    unsafe entries = .allocate(capacity: isKept ? Int(size) : 0)
    unsafe entries.initialize(repeating: Entry())
  }

  deinit {
    unsafe entries.deallocate()
  }

  /// The turn of the chain that was just popped.
  mutating func takeTurn() -> UInt16 {
    let turn = next
    next = after(next)
    return UInt16(truncatingIfNeeded: turn)
  }

  /// Gives the last turn back.
  mutating func putBack() {
    next = unsafe next == 0 ? entries.count - 1 : next - 1
  }

  /// Notes that a chain is complete.
  mutating func hold(_ ticket: ChainTicket, written: UInt32) {
    let turn = Int(ticket.turn)
    precondition(unsafe turn < entries.count, "a chain of another queue")
    // SAFETY: all entries are initialized, and `turn` is one of them.
    unsafe entries[turn] = Entry(ticket: ticket, written: written, isComplete: true)
  }

  /// The next chain by order, if it is complete.
  mutating func release() -> (ticket: ChainTicket, written: UInt32)? {
    // SAFETY: `oldest` is always below the count.
    let entry = unsafe entries[oldest]
    guard entry.isComplete else { return nil }
    unsafe entries[oldest] = Entry()
    oldest = after(oldest)
    return (entry.ticket, entry.written)
  }

  private func after(_ turn: Int) -> Int {
    unsafe turn + 1 == entries.count ? 0 : turn + 1
  }
}
