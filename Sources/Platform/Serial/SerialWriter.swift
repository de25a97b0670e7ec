import HostOS
import Synchronization

/// The buffer between ``SerialOutput`` and its descriptor, and the thread's side of it.
final class SerialWriter: Sendable {
  /// What became of a byte.
  enum Appended {
    /// It was refused.
    case full
    /// It is the first to wait.
    case first
    /// It waits with others.
    case more
    /// It completes a batch, and the thread has to be woken.
    case enough
  }

  private struct State {
    var pending: [UInt8] = []
    /// The thread has been told to take the buffer.
    var isWoken = false
    var hasRefused = false
    var hasFailed = false
    /// When to give up, in nanoseconds of the monotonic clock, once the end has come.
    var end: UInt64?
  }

  private let sink: SerialSink
  private let event: EventFD
  // Lock order: a port's before this one.
  private let state: Mutex<State>
  private let ready = SharedAction()

  init(to sink: consuming SerialSink) throws(SystemError) {
    self.sink = sink
    event = try EventFD()
    var state = State()
    state.pending.reserveCapacity(4096)
    self.state = Mutex(state)
  }

  func whenReady(_ action: @escaping @Sendable () -> Void) { ready.set(action) }

  func wake() { event.signal() }

  func append(_ byte: UInt8) -> Appended {
    state.withLock { state in
      guard !state.hasFailed, state.end == nil else { return .more }
      guard state.pending.count < SerialOutput.capacity else {
        state.hasRefused = true
        return .full
      }
      state.pending.append(byte)
      if state.isWoken { return .more }
      if byte == 0x0A || state.pending.count >= SerialOutput.batch {
        state.isWoken = true
        return .enough
      }
      return state.pending.count == 1 ? .first : .more
    }
  }

  /// Has the thread write what waits, if anything does.
  func flush() {
    let wakes = state.withLock { state in
      guard !state.pending.isEmpty, !state.isWoken else { return false }
      state.isWoken = true
      return true
    }
    if wakes { wake() }
  }

  /// Has the thread write what waits and end, by `deadline` at the latest.
  func stop(at deadline: UInt64) {
    state.withLock { $0.end = $0.end ?? deadline }
    wake()
  }

  /// The thread: takes the buffer whole and writes it, until the end.
  func run() {
    var taken: [UInt8] = []
    taken.reserveCapacity(4096)
    while true {
      // A signal may have been drained while waiting for room, so the state decides, not the event.
      if !state.withLock({ $0.isWoken || $0.end != nil }) { sink.wait(for: event) }
      event.drain()
      taken.removeAll(keepingCapacity: true)
      let (hadRefused, end) = state.withLock { state in
        swap(&state.pending, &taken)
        state.isWoken = false
        defer { state.hasRefused = false }
        return (state.hasRefused, state.end)
      }
      // The port fills the emptied buffer while this thread writes.
      if hadRefused { ready() }
      if !write(taken) {
        state.withLock { state in
          state.hasFailed = true
          state.pending = []
        }
        ready()
      }
      if end != nil { return }
    }
  }

  /// Writes all of `bytes`; false if the descriptor has failed or the end came first.
  private func write(_ bytes: [UInt8]) -> Bool {
    var start = 0
    while start < bytes.count {
      switch sink.write(bytes[start...]) {
      case .wrote(let count): start += count
      case .failed: return false
      case .full:
        let end = state.withLock { $0.end }
        guard sink.waitForRoom(or: event, until: end) else { return false }
        // Signals have come for bytes in the other buffer, or for the end; both are looked at
        // when this buffer is out.
        event.drain()
      }
    }
    return true
  }
}
