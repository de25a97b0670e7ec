import Glibc
import HostOS

/// One connection, with both of its directions.
typealias VhostUserChannel = MessageChannel<VhostUserHeader>
/// A request as it came, with the descriptors that came with it.
typealias VhostUserPacket = MessagePacket<VhostUserHeader>

extension VhostUserHeader: MessageHeader {
  typealias Failure = VhostUserError

  static var sizeLimit: Int { count + Int(payloadLimit) }

  init(parsing bytes: [UInt8], limit: Int) throws(VhostUserError) { try self.init(parsing: bytes) }

  var payloadCount: Int { Int(size) }
}

extension VhostUserError: ConnectionFailure {
  static var gone: Self { .host(SystemError(call: "sendmsg", code: EPIPE)) }
}

extension MessageChannel where Header == VhostUserHeader {
  /// Sends a message, as far as it is taken at once; ``flush()`` sends the rest.
  mutating func send(
    _ header: VhostUserHeader,
    _ payload: [UInt8],
    descriptor: consuming OwnedFileDescriptor? = nil
  ) throws(VhostUserError) {
    try send(header.bytes + payload, descriptors: descriptor.borrow { [$0.rawValue] } ?? [])
  }
}
