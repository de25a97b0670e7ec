import HostOS

/// One connection, with both of its directions; never waits.
///
/// Owned by one thread. While ``isSending``, no request should be received: an end that does not read
/// what it is sent holds up nobody but itself.
struct MessageChannel<Header: MessageHeader>: ~Copyable {
  private let socket: OwnedFileDescriptor
  /// What comes.
  var receiver = MessageReceiver<Header>()
  private var sender = MessageSender<Header.Failure>()

  /// Talks over a connected socket.
  init(_ socket: consuming OwnedFileDescriptor) { self.socket = socket }

  /// Records what goes and comes from now on.
  mutating func record(_ tap: MessageTap?, isSecond: Bool = false) {
    receiver.tap = tap.map { ($0, isSecond) }
    sender.tap = receiver.tap
  }

  /// For polling.
  var rawValue: Int32 { socket.rawValue }
  /// Whether a message waits to be taken.
  var isSending: Bool { sender.isSending }
  /// How many bytes of a message have come.
  var partialCount: Int { receiver.partialCount }
  /// Since when the rest of a message, or the taking of one, is waited for, on the monotonic clock.
  var waitsSince: UInt64? { sender.waitsSince ?? receiver.waitsSince }

  /// Receives what is there, up to the end of one message.
  mutating func receive() throws(Header.Failure) -> MessageReceiver<Header>.Incoming {
    try receiver.receive(from: socket.rawValue)
  }

  /// Sends a message, as far as it is taken at once; ``flush()`` sends the rest.
  ///
  /// - Parameters:
  ///   - bytes: The message, its header included.
  ///   - descriptors: Numbers that stay the caller's, who may close them at return.
  /// - Throws: Why the connection is of no use any more.
  mutating func send(_ bytes: [UInt8], descriptors: [Int32] = []) throws(Header.Failure) {
    try sender.send(bytes, descriptors: descriptors, to: socket.rawValue)
  }

  /// Sends what was not taken yet.
  mutating func flush() throws(Header.Failure) { try sender.flush(to: socket.rawValue) }
}
