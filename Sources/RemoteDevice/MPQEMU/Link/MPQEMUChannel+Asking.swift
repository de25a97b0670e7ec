import HostOS

/// A channel whose user waits, for a bounded time.
extension MPQEMUChannel {
  /// Sends a message, all of it.
  mutating func send(
    _ message: MPQEMUMessage,
    _ descriptors: [Int32] = [],
    in generation: MPQEMUGeneration,
    _ deadline: MPQEMUDeadline
  ) throws(MPQEMUError) {
    try send(message.bytes(in: generation), descriptors: descriptors)
    while isSending {
      guard deadline.wait(rawValue, for: .writable) else {
        throw .notReading(seconds: deadline.milliseconds / 1000)
      }
      try flush()
    }
  }

  /// Waits for the answer to a command.
  ///
  /// - Returns: Its value; 0 in an answer without one.
  mutating func receiveReply(
    to command: MPQEMUCommand,
    in generation: MPQEMUGeneration,
    _ deadline: MPQEMUDeadline
  ) throws(MPQEMUError) -> UInt64 {
    while true {
      let incoming = try receive()
      switch consume incoming {
      case .end: throw .closed
      case .nothing:
        guard deadline.wait(rawValue, for: .readable) else {
          throw .unanswered(command, milliseconds: deadline.milliseconds)
        }
      case .packet(let packet):
        let message = try MPQEMUMessage(
          packet.header,
          packet.payload,
          descriptors: packet.descriptors.count,
          in: generation
        )
        guard case .reply(let value) = message else { throw .unexpected(message.command) }
        return value ?? 0
      }
    }
  }
}
