import HostOS

/// Sends messages over a socket, as far as it takes them; never waits.
///
/// Owned by one thread, or by a lock. What is not taken at once is kept, and ``flush(to:)`` sends it; who
/// sends more while ``pendingCount`` is large holds up nobody but us.
struct MessageSender<Failure: ConnectionFailure>: ~Copyable {
  /// A message that was not taken whole.
  private struct Pending {
    var bytes: ArraySlice<UInt8>
    var descriptors: [KeptDescriptor]
  }

  /// Where messages are recorded, if they are, and whether as those of a second socket.
  var tap: (tap: MessageTap, isSecond: Bool)?
  private var queue: [Pending] = []
  /// How many bytes wait to be taken.
  private(set) var pendingCount = 0
  /// Since when nothing was taken, on the monotonic clock; `nil` if nothing waits.
  private(set) var waitsSince: UInt64?

  /// Whether anything waits to be taken.
  var isSending: Bool { pendingCount > 0 }

  /// Sends a message, or what of it is taken at once.
  ///
  /// - Parameters:
  ///   - bytes: The message, its header included.
  ///   - descriptors: Numbers that stay the caller's, who may close them at return.
  ///   - number: The socket.
  /// - Throws: Why the connection is of no use any more.
  mutating func send(
    _ bytes: [UInt8],
    descriptors: [Int32] = [],
    to number: Int32
  ) throws(Failure) {
    tap?.tap.sent(bytes, descriptors, isSecond: tap?.isSecond ?? false)
    try flush(to: number)
    do throws(SystemError) {
      var rest = bytes[...]
      while queue.isEmpty, !rest.isEmpty {
        let isFirst = rest.count == bytes.count
        let count = try SocketIO.send(number, rest, descriptors: isFirst ? descriptors : [])
        guard count > 0 else { break }
        rest = rest.dropFirst(count)
      }
      guard !rest.isEmpty else { return }
      // Descriptors go with the first byte, or are kept as long as that is.
      var kept: [KeptDescriptor] = []
      if rest.count == bytes.count {
        for descriptor in descriptors { kept.append(try KeptDescriptor(duplicating: descriptor)) }
      }
      if queue.isEmpty { waitsSince = MonotonicClock.nanoseconds }
      queue.append(Pending(bytes: rest, descriptors: kept))
      pendingCount += rest.count
    } catch {
      throw Self.end(error)
    }
  }

  /// Sends what was not taken yet.
  mutating func flush(to number: Int32) throws(Failure) {
    do throws(SystemError) {
      while let first = queue.first {
        let numbers = first.descriptors.map(\.rawValue)
        let count = try SocketIO.send(number, first.bytes, descriptors: numbers)
        guard count > 0 else { return }
        waitsSince = MonotonicClock.nanoseconds
        pendingCount -= count
        queue[0].bytes = first.bytes.dropFirst(count)
        queue[0].descriptors = []
        if queue[0].bytes.isEmpty { queue.removeFirst() }
      }
      waitsSince = nil
    } catch {
      throw Self.end(error)
    }
  }

  /// A socket that nobody holds the other end of any more is no failure of the host.
  private static func end(_ error: SystemError) -> Failure {
    error.isPeerGone ? .gone : .host(error)
  }
}
