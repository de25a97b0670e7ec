import GuestMemory
import HostOS
import Virtio

/// One connection to a back end, from the greeting to its end.
///
/// Owned by whoever holds the lock of its device. After an error it is of no use any more.
struct VhostUserBackEndSession: ~Copyable {
  /// How long the back end may take for one thing that is asked of it, in seconds: a greeting, a start,
  /// a stop.
  let patience: Int
  let kind: VhostUserKind
  let agreement: VhostUserAgreement
  var client: VhostUserClient
  /// The back end's way to ask something of us.
  private var backChannel: VhostUserChannel?
  private var common: VhostUserClient.Deadline?
  /// The rings that the back end serves.
  var served: [Int] = []
  /// Whether it may serve one of them, though nobody knows.
  var hasBegun = false

  /// Greets the back end that is connected to.
  init(
    _ socket: consuming OwnedFileDescriptor,
    kind: VhostUserKind,
    patience: Int,
    tap: MessageTap? = nil
  ) throws(VhostUserBackEndError) {
    var client = VhostUserClient(socket, tap: tap)
    let pair = try Self.makePair()
    agreement = try VhostUserAgreement(
      greeting: &client,
      as: kind,
      backChannel: pair.far.rawValue,
      VhostUserClient.Deadline(seconds: patience)
    )
    self.kind = kind
    self.patience = patience
    backChannel =
      agreement.extensions.contains(.backendRequests) ? VhostUserChannel(pair.near) : nil
    self.client = client
    if var channel = backChannel.take() {
      channel.record(tap, isSecond: true)
      backChannel = consume channel
    }
  }

  /// The time for what begins now, or for all that ``together(_:)`` counts as one thing.
  var deadline: VhostUserClient.Deadline {
    common ?? VhostUserClient.Deadline(seconds: patience)
  }

  /// Counts what is asked from here on as one thing, or no longer.
  mutating func together(_ isOne: Bool) {
    common = isOne ? VhostUserClient.Deadline(seconds: patience) : nil
  }

  /// What to wait for: readable when the back end has something to say, or has gone.
  var numbers: [Int32] {
    var numbers = [client.rawValue]
    if let number = backChannel.borrow({ $0.rawValue }) { numbers.append(number) }
    return numbers
  }

  /// Takes what came unasked.
  ///
  /// - Returns: Whether the back end says that the configuration has changed.
  mutating func listen() throws(VhostUserBackEndError) -> Bool {
    if let error = client.unasked() { throw error }
    do throws(VhostUserError) {
      return try takeRequests()
    } catch {
      throw .badRequest(error)
    }
  }

  /// Reads the configuration, as far as it is the back end's.
  mutating func readConfiguration() throws(VhostUserBackEndError) -> [UInt8] {
    let count = kind.remoteConfigurationCount
    guard count > 0 else { return [] }
    let payload = Self.configuration(0, [UInt8](repeating: 0, count: count))
    let reply = try client.exchange(
      .getConfiguration,
      payload,
      count: payload.count,
      deadline
    )
    let (offset, size): (UInt32, UInt32) =
      (NativeBytes(reply.payload).word(at: 0), NativeBytes(reply.payload).word(at: 4))
    guard offset == 0, size == UInt32(count) else {
      throw .badValue(.getConfiguration, "\(size) bytes at \(offset), not \(count) at 0")
    }
    return Array(reply.payload[12...])
  }

  /// Writes to the configuration.
  mutating func writeConfiguration(
    _ bytes: [UInt8],
    at offset: Int
  ) throws(VhostUserBackEndError) {
    try client.tell(
      .setConfiguration,
      Self.configuration(UInt32(offset), bytes),
      deadline
    )
  }

  /// Offset, size, and flags, which say that the driver writes; then the bytes.
  private static func configuration(_ offset: UInt32, _ bytes: [UInt8]) -> [UInt8] {
    var payload = NativeBytes()
    for word in [offset, UInt32(bytes.count), 0] { payload.append(word) }
    payload.append(bytes)
    return payload.array
  }

  /// Takes the back end's own requests, as many as it makes before it waits for a reply, and not more
  /// than a few.
  private mutating func takeRequests() throws(VhostUserError) -> Bool {
    guard var channel = backChannel.take() else { return false }
    var hasChanged = false
    try channel.flush()
    for _ in 0..<16 {
      // As many replies as there is room for are unread.
      guard !channel.isSending else { throw .notReading(seconds: 0) }
      switch try channel.receive() {
      case .nothing:
        backChannel = consume channel
        return hasChanged
      // It may do without; the connection itself tells of its end.
      case .end: return hasChanged
      case .packet(let packet):
        // VHOST_USER_BACKEND_CONFIG_CHANGE_MSG; the others need what was not agreed on.
        guard packet.header.request == 2 else {
          throw .unknownRequest(
            packet.header.request,
            size: packet.header.size,
            descriptors: packet.descriptors.count
          )
        }
        hasChanged = true
        guard packet.header.needsReply else { continue }
        try channel.send(
          VhostUserHeader(replyTo: packet.header.request, size: 8),
          [UInt8](repeating: 0, count: 8)
        )
      }
    }
    backChannel = consume channel
    return hasChanged
  }

  private static func makePair() throws(VhostUserBackEndError) -> SocketPair {
    do throws(SystemError) {
      let pair = try SocketPair()
      try FileIO.setNonBlocking(pair.near.rawValue)
      return pair
    } catch {
      throw .host(error)
    }
  }
}
