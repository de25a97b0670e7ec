import HostOS

/// One socket to a process that a recording is replayed to: whole messages, each waited for.
///
/// Owned by one thread.
struct ReplaySocket: ~Copyable {
  /// What came.
  enum Incoming {
    case message([UInt8])
    case nothing
    case end
    /// Bytes that no message begins with.
    case noMessage([UInt8])
  }

  private let socket: OwnedFileDescriptor
  private let spoken: RecordedProtocol
  private var buffer: [UInt8]
  private var filled = 0
  /// What came with the last message.
  private var descriptors = DescriptorBatch()
  private var batch = DescriptorBatch()

  /// Talks over a connected socket.
  init(_ socket: consuming OwnedFileDescriptor, _ spoken: RecordedProtocol) {
    self.socket = socket
    self.spoken = spoken
    buffer = [UInt8](repeating: 0, count: spoken.headerCount)
  }

  /// Sends a message; whether all of it was taken in time.
  mutating func send(
    _ bytes: [UInt8],
    _ descriptors: [Int32],
    _ deadline: UInt64
  ) throws(SystemError) -> Bool {
    var (rest, numbers) = (bytes[...], descriptors)
    while !rest.isEmpty {
      let count = try SocketIO.send(socket.rawValue, rest, descriptors: numbers)
      if count > 0 {
        numbers = []
        rest = rest.dropFirst(count)
      } else if !wait(for: .writable, deadline) {
        return false
      }
    }
    return true
  }

  /// Waits for a message; `nothing` if there is none in time.
  mutating func receive(_ deadline: UInt64) throws(SystemError) -> Incoming {
    while true {
      let header = Array(buffer.prefix(spoken.headerCount))
      if filled == buffer.count {
        guard let count = spoken.messageCount(header) else { return .noMessage(header) }
        if count == filled { return .message(take()) }
        buffer += [UInt8](repeating: 0, count: count - filled)
      }
      let received = try SocketIO.receive(
        socket.rawValue,
        into: &buffer,
        from: filled,
        count: buffer.count - filled,
        &batch
      )
      switch received {
      case .bytes(let count): filled += count
      case .end: return .end
      case .tooManyDescriptors: return .noMessage(header)
      case .nothing: guard wait(for: .readable, deadline) else { return .nothing }
      }
    }
  }

  /// The next descriptor that came with the last message.
  mutating func takeDescriptor() -> OwnedFileDescriptor? { descriptors.takeFirst() }

  private mutating func take() -> [UInt8] {
    var taken = DescriptorBatch()
    swap(&taken, &batch)
    swap(&taken, &descriptors)
    let bytes = buffer
    buffer = [UInt8](repeating: 0, count: spoken.headerCount)
    filled = 0
    return bytes
  }

  private func wait(for interest: Poller.Interest, _ deadline: UInt64) -> Bool {
    let now = MonotonicClock.nanoseconds
    guard now < deadline else { return false }
    var list = PollList()
    _ = list.add(socket.rawValue, for: interest)
    list.wait(timeout: Int32(clamping: (deadline - now) / 1_000_000 + 1))
    return true
  }
}
