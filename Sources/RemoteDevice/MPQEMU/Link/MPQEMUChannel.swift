import HostOS

/// A message as it came, with the descriptors that came with it.
struct MPQEMUPacket: ~Copyable {
  let header: MPQEMUHeader
  let payload: [UInt8]
  var descriptors: DescriptorBatch
}

/// Cuts what comes over the socket into messages, and sends others; never waits.
///
/// Owned by one thread at a time. While a message has not been taken, none should be received: a peer that
/// does not read holds up nobody but itself.
struct MPQEMUChannel: ~Copyable {
  /// What came.
  enum Incoming: ~Copyable {
    case packet(MPQEMUPacket)
    /// Not a whole message yet.
    case nothing
    /// The peer has closed the connection, between two messages.
    case end
  }

  private static var payloadLimit: UInt64 { MPQEMUGeneration.v8.payloadLimit }

  private let socket: OwnedFileDescriptor
  /// Where messages are recorded, if they are.
  var tap: MessageTap?
  private var buffer = [UInt8](repeating: 0, count: MPQEMUHeader.count + Int(payloadLimit))
  private var filled = 0
  private var header: MPQEMUHeader?
  private var descriptors = DescriptorBatch()
  private var output: ArraySlice<UInt8> = []
  private var outputDescriptors: [Int32] = []
  /// Since when the rest of a message, or the taking of one, is waited for.
  private(set) var waitsSince: ContinuousClock.Instant?

  /// Talks over a connected socket.
  init(_ socket: consuming OwnedFileDescriptor) { self.socket = socket }

  /// For polling.
  var rawValue: Int32 { socket.rawValue }

  /// Whether a message waits to be taken.
  var isSending: Bool { !output.isEmpty }

  /// How many bytes of a message have come.
  var partialCount: Int { filled }

  /// Receives what is there, up to the end of one message.
  mutating func receive() throws(MPQEMUError) -> Incoming {
    while true {
      let wanted = MPQEMUHeader.count + (header.map { Int($0.size) } ?? 0)
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
        let new = MPQEMUHeader(parsing: buffer[0..<MPQEMUHeader.count])
        guard new.size <= Self.payloadLimit else { throw .tooLarge(new.command, size: new.size) }
        self.header = new
        continue
      }
      let packet = MPQEMUPacket(
        header: header,
        payload: Array(buffer[MPQEMUHeader.count..<wanted]),
        descriptors: takeDescriptors()
      )
      tap?.received(Array(buffer[0..<wanted]), packet.descriptors)
      self.header = nil
      filled = 0
      waitsSince = nil
      return .packet(packet)
    }
  }

  /// Sends a message, as far as it is taken at once; ``flush()`` sends the rest.
  ///
  /// - Parameters:
  ///   - bytes: All of it.
  ///   - descriptors: What goes with it; their owner keeps them open until ``isSending`` is false.
  /// - Throws: ``MPQEMUError`` if the peer has gone.
  mutating func send(_ bytes: [UInt8], descriptors: [Int32] = []) throws(MPQEMUError) {
    precondition(output.isEmpty, "a message is sent before the last one was taken")
    output = bytes[...]
    outputDescriptors = descriptors
    tap?.sent(bytes, descriptors)
    waitsSince = .now
    try flush()
  }

  /// Sends what was not taken yet.
  mutating func flush() throws(MPQEMUError) {
    // With nothing to send it is a message that is waited for, if anything.
    guard isSending else { return }
    do throws(SystemError) {
      while !output.isEmpty {
        let count = try SocketIO.send(socket.rawValue, output, descriptors: outputDescriptors)
        guard count > 0 else { return }
        output = output.dropFirst(count)
        outputDescriptors = []
      }
      waitsSince = nil
    } catch {
      // Nobody is there to read it any more.
      throw error.isPeerGone ? .closed : .host(error)
    }
  }

  private mutating func fill(_ count: Int) throws(MPQEMUError) -> SocketIO.Received {
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
