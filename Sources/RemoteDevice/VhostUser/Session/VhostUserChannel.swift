import HostOS

/// A request as it came, with the descriptors that came with it.
struct VhostUserPacket: ~Copyable {
  let header: VhostUserHeader
  let payload: [UInt8]
  var descriptors: DescriptorBatch
}

/// Cuts what comes over the socket into messages, and sends replies; never waits.
///
/// Owned by the session's thread. While a reply has not been taken, no request should be received: a
/// front end that does not read its replies holds up nobody but itself.
struct VhostUserChannel: ~Copyable {
  /// What came.
  enum Incoming: ~Copyable {
    case packet(VhostUserPacket)
    /// Not a whole message yet.
    case nothing
    /// The front end has closed the connection, between two messages.
    case end
  }

  private let socket: OwnedFileDescriptor
  /// Where messages are recorded, if they are, as those of a second socket.
  var tap: MessageTap?
  private var buffer: [UInt8]
  private var filled = 0
  private var header: VhostUserHeader?
  private var descriptors = DescriptorBatch()
  private var output: ArraySlice<UInt8> = []
  private var outputDescriptor: OwnedFileDescriptor?
  /// Since when the rest of a message, or the taking of a reply, is waited for.
  private(set) var waitsSince: ContinuousClock.Instant?

  /// Talks over a connected socket.
  init(_ socket: consuming OwnedFileDescriptor) {
    self.socket = socket
    buffer = [UInt8](
      repeating: 0,
      count: VhostUserHeader.count + Int(VhostUserHeader.payloadLimit)
    )
  }

  /// For polling.
  var rawValue: Int32 { socket.rawValue }

  /// Whether a reply waits to be taken.
  var isSending: Bool { !output.isEmpty }

  /// How many bytes of a message have come.
  var partialCount: Int { filled }

  /// Receives what is there, up to the end of one message.
  mutating func receive() throws(VhostUserError) -> Incoming {
    while true {
      let wanted = VhostUserHeader.count + (header.map { Int($0.size) } ?? 0)
      if filled < wanted {
        switch try fill(wanted - filled) {
        case .nothing: return .nothing
        case .tooManyDescriptors: throw .tooManyDescriptors(limit: DescriptorBatch.capacity)
        case .end:
          guard filled == 0 else { throw .cutShort(filled) }
          return .end
        case .bytes(let count):
          if filled == 0 { waitsSince = .now }
          filled += count
        }
        continue
      }
      guard let header else {
        self.header = try VhostUserHeader(parsing: Array(buffer[0..<VhostUserHeader.count]))
        continue
      }
      let packet = VhostUserPacket(
        header: header,
        payload: Array(buffer[VhostUserHeader.count..<wanted]),
        descriptors: takeDescriptors()
      )
      tap?.received(Array(buffer[0..<wanted]), packet.descriptors, isSecond: true)
      self.header = nil
      filled = 0
      waitsSince = nil
      return .packet(packet)
    }
  }

  /// Sends a message, as far as it is taken at once; ``flush()`` sends the rest.
  mutating func send(
    _ header: VhostUserHeader,
    _ payload: [UInt8],
    descriptor: consuming OwnedFileDescriptor? = nil
  ) throws(VhostUserError) {
    precondition(output.isEmpty, "a message is sent before the last one was taken")
    let bytes = header.bytes + payload
    tap?.sent(bytes, descriptor.borrow { [$0.rawValue] } ?? [], isSecond: true)
    output = bytes[...]
    outputDescriptor = descriptor
    waitsSince = .now
    try flush()
  }

  /// Sends what was not taken yet.
  mutating func flush() throws(VhostUserError) {
    // With nothing to send it is a message that is waited for, if anything.
    guard isSending else { return }
    do throws(SystemError) {
      while !output.isEmpty {
        let numbers = outputDescriptor.borrow { [$0.rawValue] } ?? []
        let count = try SocketIO.send(socket.rawValue, output, descriptors: numbers)
        guard count > 0 else { return }
        output = output.dropFirst(count)
        outputDescriptor = nil
      }
      waitsSince = nil
    } catch {
      throw .host(error)
    }
  }

  private mutating func fill(_ count: Int) throws(VhostUserError) -> SocketIO.Received {
    do throws(SystemError) {
      return try SocketIO.receive(
        socket.rawValue,
        into: &buffer,
        from: filled,
        count: count,
        &descriptors
      )
    } catch {
      throw .host(error)
    }
  }

  private mutating func takeDescriptors() -> DescriptorBatch {
    var taken = DescriptorBatch()
    swap(&taken, &descriptors)
    return taken
  }
}
