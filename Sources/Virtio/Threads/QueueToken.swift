/// What a queue's thread finds in an epoll event: whose descriptor it was.
struct QueueToken {
  enum Source: UInt64 {
    /// A kick of the queue.
    case kick = 0
    /// What the queue's service waits for.
    case blocked = 1
    /// Completions of the service.
    case completions = 2
  }

  /// The number of the assignment on its thread.
  let work: UInt32
  /// The number of the queue in the assignment.
  let slot: Int
  let source: Source

  init(work: UInt32, slot: Int = 0, _ source: Source) {
    self.work = work
    self.slot = slot
    self.source = source
  }

  init?(rawValue: UInt64) {
    guard let source = Source(rawValue: rawValue & 3) else { return nil }
    work = UInt32(truncatingIfNeeded: rawValue >> 32)
    slot = Int(rawValue >> 2 & 0x3FFF_FFFF)
    self.source = source
  }

  var rawValue: UInt64 { UInt64(work) << 32 | UInt64(slot) << 2 | source.rawValue }
}
