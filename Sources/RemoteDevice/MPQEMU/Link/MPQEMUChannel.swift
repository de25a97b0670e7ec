/// One connection, with both of its directions.
typealias MPQEMUChannel = MessageChannel<MPQEMUHeader>
/// A message as it came, with the descriptors that came with it.
typealias MPQEMUPacket = MessagePacket<MPQEMUHeader>

extension MPQEMUHeader: MessageHeader {
  typealias Failure = MPQEMUError

  static var sizeLimit: Int { count + Int(MPQEMUGeneration.v8.payloadLimit) }

  init(parsing bytes: [UInt8], limit: Int) throws(MPQEMUError) {
    self.init(parsing: bytes[...])
    guard size <= UInt64(limit - Self.count) else { throw .tooLarge(command, size: size) }
  }

  var payloadCount: Int { Int(size) }
}

extension MPQEMUError: ConnectionFailure {
  static var gone: Self { .closed }
}
