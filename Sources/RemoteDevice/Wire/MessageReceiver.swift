import HostOS

/// Cuts what comes over a socket into messages; never waits.
///
/// Owned by one thread, or by a lock.
struct MessageReceiver<Header: MessageHeader>: ~Copyable {
  /// What came.
  enum Incoming: ~Copyable {
    case packet(MessagePacket<Header>)
    /// Not a whole message yet.
    case nothing
    /// The other end has closed the connection, between two messages.
    case end
  }

  /// The longest message that may come, its header included.
  var sizeLimit = Header.sizeLimit
  /// Where messages are recorded, if they are, and whether as those of a second socket.
  var tap: (tap: MessageTap, isSecond: Bool)?
  private var buffer = [UInt8](repeating: 0, count: Header.count)
  private var filled = 0
  private var header: Header?
  private var descriptors = DescriptorBatch()
  /// Since when the rest of a message is waited for, on the monotonic clock; `nil` if none has begun.
  private(set) var waitsSince: UInt64?

  /// How many bytes of a message have come.
  var partialCount: Int { filled }

  /// Receives what is there, up to the end of one message.
  ///
  /// - Parameter number: The socket.
  /// - Returns: A message, or why there is none.
  /// - Throws: The failure for what no message can be; the connection is of no use any more.
  mutating func receive(from number: Int32) throws(Header.Failure) -> Incoming {
    while true {
      if filled < buffer.count {
        switch try fill(number) {
        case .nothing: return .nothing
        case .tooManyDescriptors: throw .tooManyDescriptors(limit: DescriptorBatch.capacity)
        case .end:
          guard filled == 0 else { throw .cutShort(filled) }
          return .end
        case .bytes(let count):
          if filled == 0 { waitsSince = MonotonicClock.nanoseconds }
          filled += count
        }
        continue
      }
      guard let header else {
        let header = try Header(parsing: buffer, limit: sizeLimit)
        self.header = header
        buffer += [UInt8](repeating: 0, count: header.payloadCount)
        continue
      }
      var taken = DescriptorBatch()
      swap(&taken, &descriptors)
      let payload = Array(buffer[Header.count...])
      tap?.tap.received(buffer, taken, isSecond: tap?.isSecond ?? false)
      buffer.removeLast(payload.count)
      self.header = nil
      filled = 0
      waitsSince = nil
      return .packet(MessagePacket(header: header, payload: payload, descriptors: taken))
    }
  }

  private mutating func fill(_ number: Int32) throws(Header.Failure) -> SocketIO.Received {
    do throws(SystemError) {
      return try SocketIO.receive(
        number,
        into: &buffer,
        from: filled,
        count: buffer.count - filled,
        &descriptors
      )
    } catch {
      throw .host(error)
    }
  }
}
