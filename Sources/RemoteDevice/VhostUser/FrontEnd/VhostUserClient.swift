import HostOS

/// The connection to a back end: asks, and waits for answers, each for a bounded time.
///
/// Owned by whoever holds the lock of its device. After an error it is of no use any more.
struct VhostUserClient: ~Copyable {
  /// What a back end answered.
  struct Reply: ~Copyable {
    let payload: [UInt8]
    var descriptors: DescriptorBatch
  }

  /// When a back end's time is up, for one exchange or for several.
  struct Deadline {
    let seconds: Int
    private let end: UInt64

    init(seconds: Int) {
      self.seconds = seconds
      end = MonotonicClock.nanoseconds &+ UInt64(seconds) &* 1_000_000_000
    }

    /// What is left, in milliseconds, rounded up; `nil` if nothing is.
    var left: Int32? {
      let now = MonotonicClock.nanoseconds
      return now < end ? Int32(clamping: (end - now) / 1_000_000 + 1) : nil
    }
  }

  private let socket: OwnedFileDescriptor
  /// Where messages are recorded, if they are.
  private let tap: MessageTap?
  /// Whether the back end says of every request how it went (`REPLY_ACK`).
  var acknowledges = false

  /// Talks over a connected, non-blocking socket.
  init(_ socket: consuming OwnedFileDescriptor, tap: MessageTap? = nil) {
    self.socket = socket
    self.tap = tap
  }

  /// For polling.
  var rawValue: Int32 { socket.rawValue }

  /// Sends a request that is not answered, unless both have agreed that all are: then waits for that.
  mutating func tell(
    _ request: VhostUserRequest,
    _ payload: [UInt8],
    descriptors: [Int32] = [],
    _ deadline: Deadline
  ) throws(VhostUserBackEndError) {
    try send(request, payload, descriptors, needsReply: acknowledges, deadline)
    guard acknowledges else { return }
    let reply = try receive(request, count: 8, deadline)
    let value: UInt64 = NativeBytes(reply.payload).word(at: 0)
    guard value == 0 else { throw .refused(request, value) }
  }

  /// Sends a request that is answered with a number.
  mutating func ask(
    _ request: VhostUserRequest,
    _ deadline: Deadline
  ) throws(VhostUserBackEndError) -> UInt64 {
    let reply = try exchange(request, [], count: 8, deadline)
    return NativeBytes(reply.payload).word(at: 0)
  }

  /// Sends a request, and waits for its answer.
  ///
  /// - Parameters:
  ///   - request: What is asked.
  ///   - payload: What goes with it.
  ///   - count: How many bytes the answer has.
  ///   - descriptors: How many descriptors come with it.
  ///   - deadline: When it must be there.
  /// - Returns: The answer.
  /// - Throws: ``VhostUserBackEndError`` for any other answer, or none.
  mutating func exchange(
    _ request: VhostUserRequest,
    _ payload: [UInt8],
    count: Int,
    descriptors: Int = 0,
    _ deadline: Deadline
  ) throws(VhostUserBackEndError) -> Reply {
    try send(request, payload, [], needsReply: false, deadline)
    return try receive(request, count: count, descriptors: descriptors, deadline)
  }

  /// What is to be said of a socket that is readable while nothing was asked.
  func unasked() -> VhostUserBackEndError? {
    var bytes: [UInt8] = [0]
    var batch = DescriptorBatch()
    do throws(VhostUserBackEndError) {
      switch try receive(into: &bytes, from: 0, &batch) {
      case .nothing: return nil
      case .end: return .ended
      case .bytes, .tooManyDescriptors: return .unasked
      }
    } catch {
      return error
    }
  }

  private func send(
    _ request: VhostUserRequest,
    _ payload: [UInt8],
    _ descriptors: [Int32],
    needsReply: Bool,
    _ deadline: Deadline
  ) throws(VhostUserBackEndError) {
    let header = VhostUserHeader(
      request: request.rawValue,
      size: payload.count,
      needsReply: needsReply
    )
    let bytes = header.bytes + payload
    tap?.sent(bytes, descriptors)
    var left = bytes[...]
    var numbers = descriptors
    while !left.isEmpty {
      let count: Int
      do throws(SystemError) {
        count = try SocketIO.send(socket.rawValue, left, descriptors: numbers)
      } catch {
        throw .host(error)
      }
      left = left.dropFirst(count)
      if count > 0 {
        numbers = []
      } else if !wait(for: .writable, deadline) {
        throw .notReading(request, seconds: deadline.seconds)
      }
    }
  }

  private func receive(
    _ request: VhostUserRequest,
    count: Int,
    descriptors: Int = 0,
    _ deadline: Deadline
  ) throws(VhostUserBackEndError) -> Reply {
    var batch = DescriptorBatch()
    let header = NativeBytes(try receive(VhostUserHeader.count, request, &batch, deadline))
    let (number, flags, size): (UInt32, UInt32, UInt32) =
      (header.word(at: 0), header.word(at: 4), header.word(at: 8))
    guard number == request.rawValue, VhostUserHeader.isReply(flags) else {
      throw .wrongReply(request, to: number, flags: flags)
    }
    guard size == UInt32(count) else { throw .wrongSize(request, size, expected: count) }
    let payload = try receive(count, request, &batch, deadline)
    tap?.received(header.array + payload, batch)
    guard batch.count == descriptors else {
      throw .wrongDescriptorCount(request, batch.count, expected: descriptors)
    }
    return Reply(payload: payload, descriptors: batch)
  }

  private func receive(
    _ count: Int,
    _ request: VhostUserRequest,
    _ batch: inout DescriptorBatch,
    _ deadline: Deadline
  ) throws(VhostUserBackEndError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var done = 0
    while done < count {
      switch try receive(into: &bytes, from: done, &batch) {
      case .bytes(let size): done += size
      case .end: throw .ended
      case .tooManyDescriptors:
        throw .wrongDescriptorCount(request, DescriptorBatch.capacity + 1, expected: 0)
      case .nothing:
        guard wait(for: .readable, deadline) else {
          throw .silent(request, seconds: deadline.seconds)
        }
      }
    }
    return bytes
  }

  private func receive(
    into bytes: inout [UInt8],
    from start: Int,
    _ batch: inout DescriptorBatch
  ) throws(VhostUserBackEndError) -> SocketIO.Received {
    do throws(SystemError) {
      return try SocketIO.receive(
        socket.rawValue,
        into: &bytes,
        from: start,
        count: bytes.count - start,
        &batch
      )
    } catch {
      throw .host(error)
    }
  }

  private func wait(for interest: Poller.Interest, _ deadline: Deadline) -> Bool {
    guard let left = deadline.left else { return false }
    var list = PollList()
    _ = list.add(socket.rawValue, for: interest)
    list.wait(timeout: left)
    return true
  }
}
