import GuestMemory
import HostOS
import Logging
import Virtio

/// What one front end has said since it connected, and what follows from it.
///
/// Owned by the server's thread. A ring is served while it is enabled and complete; whatever else
/// changes (memory, features, the log, its own addresses), it is stopped for that, with what is under
/// way ended, and goes on where it stood.
final class VhostUserSession {
  // How many requests are handled before something else is looked at, such as a signal.
  private static var batch: Int { 64 }

  private var channel: VhostUserChannel
  let device: VhostUserDevice
  /// For what a front end can cause.
  let log: LimitedLog
  /// For what helps to follow what happens.
  let logger: Logger

  /// The features that the front end has chosen, those among `vhost` included.
  var features: VirtioFeatures = []
  var protocolFeatures: VhostUserProtocolFeatures = []
  var rings: [VhostUserRing]
  var regions: VhostUserMemory
  /// The regions as the device sees them; made anew when it may have changed.
  var memory: GuestMemory?
  var logMapping: SharedMapping?
  var backendSocket: OwnedFileDescriptor?
  var hasUnsentChange = false
  var status: VirtioStatus = []
  /// What the front end has written to the configuration: a device that is reset for it has that again.
  var written: [UInt32: UInt8] = [:]
  var inflight: Inflight?
  /// Signalled by device threads, and for memory that is gone.
  let wake: EventFD

  init(
    _ socket: consuming OwnedFileDescriptor,
    _ device: VhostUserDevice,
    waking wake: EventFD,
    log: LimitedLog,
    logger: Logger
  ) {
    channel = VhostUserChannel(socket)
    self.device = device
    self.wake = wake
    self.log = log
    self.logger = logger
    rings = Array(repeating: VhostUserRing(), count: device.ringCount)
    regions = VhostUserMemory(fault: wake)
  }

  /// The virtio features that a front end can choose from.
  var offeredFeatures: VirtioFeatures {
    device.device.features.union(.common).union(.vhost)
  }

  /// The extensions that a front end can choose from.
  var offeredProtocolFeatures: VhostUserProtocolFeatures {
    var features: VhostUserProtocolFeatures = [
      .multiQueue, .sharedLog, .replyAck, .backendRequests, .resetDevice, .inflight, .memorySlots,
      .status, .guestAddresses,
    ]
    if device.device is any VhostUserNetwork {
      // Front ends make up the configuration of network devices themselves.
      features.formUnion([.rarp, .mtu])
    } else if device.device.configurationCount > 0 {
      features.formUnion(.configuration)
    }
    return features
  }

  /// For polling.
  var socketNumber: Int32 { channel.rawValue }

  /// Whether a reply waits to be taken; until then no request is looked at.
  var isSending: Bool { channel.isSending }

  /// Since when the front end has been in the middle of a message, or has not taken a reply.
  var waitsSince: UInt64? { channel.waitsSince }

  /// Checks that the front end does not keep us waiting for longer than that.
  func checkPatience(_ patience: UInt64) throws(VhostUserError) {
    guard let since = waitsSince, MonotonicClock.nanoseconds &- since >= patience else { return }
    let seconds = Int(patience / 1_000_000_000)
    if channel.isSending { throw .notReading(seconds: seconds) }
    throw .stalled(channel.partialCount, seconds: seconds)
  }

  /// Handles requests that have come; where there may be more, the server is woken again.
  ///
  /// - Returns: Whether the connection goes on.
  /// - Throws: ``VhostUserError`` for what the front end is cut off for.
  func advance() throws(VhostUserError) -> Bool {
    try channel.flush()
    for _ in 0..<Self.batch {
      if channel.isSending { return true }
      let incoming = try channel.receive()
      switch consume incoming {
      case .nothing: return true
      case .end: return false
      case .packet(let packet): try handle(packet)
      }
    }
    wake.signal()
    return true
  }

  /// Looks at what other threads have to tell.
  func wakeUp() throws(VhostUserError) {
    guard !regions.isBroken, logMapping?.isBroken != true, inflight?.mapping.isBroken != true else {
      throw .memoryGone
    }
    guard device.interrupts.takeChange() else { return }
    if device.needsReset {
      for ring in rings { ring.error?.signal() }
    }
    hasUnsentChange = true
    announceChange()
  }

  /// Ends everything; nothing of the front end's is used afterwards.
  func close() {
    _ = device.stopAll()
    for index in rings.indices { device.interrupts.setCall(nil, of: index) }
    device.interrupts.setLog(nil)
    device.reset()
    memory = nil
    inflight = nil
    logMapping = nil
    regions.removeAll()
  }

  private func handle(_ packet: consuming VhostUserPacket) throws(VhostUserError) {
    let header = packet.header
    let wantsReply = header.needsReply && protocolFeatures.contains(.replyAck)
    do throws(VhostUserError) {
      let message = try VhostUserMessage(
        header,
        packet.payload,
        descriptors: packet.descriptors.count
      )
      let answer = try perform(message, &packet.descriptors)
      switch answer {
      case .reply(let bytes): try reply(to: header, bytes)
      case .replyWithFile(let bytes, let file): try reply(to: header, bytes, file.take())
      case .done: if wantsReply { try reply(to: header, Self.word(0)) }
      }
    } catch {
      switch error.consequence {
      case .end: throw error
      case .refusal: guard wantsReply || Self.alwaysReplies(header) else { throw error }
      case .none: break
      }
      log.warning("\(error)")
      if wantsReply || Self.alwaysReplies(header) { try reply(to: header, Self.word(1)) }
    }
  }

  private func reply(
    to header: VhostUserHeader,
    _ payload: [UInt8],
    _ descriptor: consuming OwnedFileDescriptor? = nil
  ) throws(VhostUserError) {
    try channel.send(
      VhostUserHeader(replyTo: header.request, size: payload.count),
      payload,
      descriptor: descriptor
    )
  }

  /// Whether the sender waits for a number even if it did not say so.
  private static func alwaysReplies(_ header: VhostUserHeader) -> Bool {
    header.request == VhostUserRequest.translation.rawValue
  }

  static func word(_ value: UInt64) -> [UInt8] {
    var bytes = NativeBytes()
    bytes.append(value)
    return bytes.array
  }
}
