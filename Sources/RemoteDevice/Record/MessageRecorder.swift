import Glibc
public import HostOS
public import Logging
import Synchronization

/// Records the messages of all connections to devices' processes in a file, in order, for as long as it lives.
///
/// Whoever sends or receives a message copies it into memory, at most 8 MiB of it, and a thread of the recorder's writes that to the file: no
/// message waits for the file. Where the file is too slow, the connection whose message found no room is recorded no further: what there is of
/// it has no holes, and can be replayed. Its next connection is recorded again. Any thread may call.
public final class MessageRecorder: Sendable {
  /// How much waits to be written at most, in bytes.
  package static var limit: Int { 8 << 20 }

  private struct State {
    var pending: [UInt8] = []
    var connections: UInt32 = 0
    var isEnded = false
    /// Connections that are recorded no further, and are to be told of.
    var lost: [String] = []
  }

  private let file: OwnedFileDescriptor
  private let begin = MonotonicClock.nanoseconds
  // Held for as long as a copy takes.
  private let state: Mutex<State>
  private let wake: EventFD
  private let logger: Logger
  private let thread = Mutex<Thread?>(nil)

  /// Makes a file, or empties one, and begins.
  ///
  /// - Throws: `SystemError` if the file cannot be written, or the host has no thread left.
  public convenience init(path: String, logger: Logger) throws(SystemError) {
    let flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC
    try self.init(OwnedFileDescriptor(opening: path, flags, mode: 0o600), logger: logger)
  }

  /// Begins to record in an open file.
  package init(_ file: consuming OwnedFileDescriptor, logger: Logger) throws(SystemError) {
    self.file = file
    self.logger = logger
    wake = try EventFD()
    var now = timespec()
    // SAFETY: the structure is ours.
    unsafe clock_gettime(CLOCK_REALTIME, &now)
    var header = RecordingFormat.magic
    header.append(RecordingFormat.version)
    header.append(0 as UInt32)
    header.append(UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec))
    state = Mutex(State(pending: header))
    var started: Thread? = try Thread("recorder") { [self] in run() }
    thread.withLock { swap(&$0, &started) }
    wake.signal()
  }

  /// Writes what is left, and ends.
  ///
  /// To be called once; nothing is recorded any more.
  public func finish() {
    state.withLock { $0.isEnded = true }
    wake.signal()
    guard let thread = thread.withLock({ $0.take() }) else { return }
    thread.join()
  }

  /// Begins to record a connection.
  package func makeTap(_ name: String, _ protocol: RecordedProtocol) -> MessageTap? {
    let number: UInt32? = state.withLock { state in
      state.connections += 1
      let connection = RecordedConnection(
        number: state.connections,
        protocol: `protocol`,
        name: name
      )
      return add(connection.record, &state) ? connection.number : nil
    }
    return number.map { MessageTap(self, $0, name) }
  }

  /// Adds a record, with the time put in; whether there was room for it.
  func add(_ record: [UInt8]) -> Bool {
    let (hasRoom, isFirst) = state.withLock { state in
      let isFirst = state.pending.isEmpty
      return (add(timed(record), &state), isFirst)
    }
    // The thread is awake while there is anything.
    if isFirst { wake.signal() }
    return hasRoom
  }

  /// Ends a connection for which there was no room; of that there is some left.
  func lose(_ end: RecordedEnd, _ name: String) {
    state.withLock { state in
      append(timed(end.record), &state)
      state.lost.append(name)
    }
  }

  /// A message or an end, with the time: that of the moment when its place among the others is decided.
  private func timed(_ record: [UInt8]) -> [UInt8] {
    var record = record
    let now = MonotonicClock.nanoseconds &- begin
    for index in 0..<8 {
      record[RecordingFormat.timeOffset + index] = UInt8(
        truncatingIfNeeded: now >> UInt64(8 * index)
      )
    }
    return record
  }

  private func add(_ record: [UInt8], _ state: inout State) -> Bool {
    guard !state.isEnded, state.pending.count + record.count <= Self.limit else { return false }
    append(record, &state)
    return true
  }

  private func append(_ record: [UInt8], _ state: inout State) {
    guard !state.isEnded else { return }
    state.pending.append(UInt32(record.count))
    state.pending += record
  }

  private func run() {
    while true {
      wake.wait()
      while true {
        let (bytes, lost) = state.withLock { state in
          defer { (state.pending, state.lost) = ([], []) }
          return (state.pending, state.lost)
        }
        for name in lost {
          logger.warning(
            "\(name): messages come faster than the file takes them; this connection is recorded no further"
          )
        }
        guard !bytes.isEmpty else { break }
        do throws(SystemError) {
          try FileIO.writeAll(file.rawValue, bytes)
        } catch {
          state.withLock { $0.isEnded = true }
          logger.error("nothing is recorded any more: \(error)")
        }
      }
      if state.withLock({ $0.isEnded && $0.pending.isEmpty }) { return }
    }
  }
}
