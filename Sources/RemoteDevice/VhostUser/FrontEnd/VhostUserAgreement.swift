import HostOS
import Virtio

/// What a back end offers, and what we have agreed on with it before a driver comes.
struct VhostUserAgreement: Equatable, Sendable {
  /// All that the back end offers.
  let features: VirtioFeatures
  /// The extensions of the protocol that are in use.
  let extensions: VhostUserProtocolFeatures
  /// How many queues the back end has; `nil` if it does not say.
  let queueCount: Int?

  /// What we can make use of.
  ///
  /// Memory slots are left out: the guest's memory fits into one table, and does not change.
  private static var known: VhostUserProtocolFeatures {
    [
      .multiQueue, .replyAck, .backendRequests, .configuration, .inflight, .resetDevice, .status,
      .guestAddresses,
    ]
  }

  /// Greets a back end.
  ///
  /// - Parameters:
  ///   - client: A new connection.
  ///   - kind: What the back end is to be.
  ///   - backChannel: The back end's end of a connection for its own requests; handed over if it can
  ///     have one.
  ///   - deadline: When all of it is to be over.
  /// - Throws: ``VhostUserBackEndError`` if it is not what is needed.
  init(
    greeting client: inout VhostUserClient,
    as kind: VhostUserKind,
    backChannel: Int32,
    _ deadline: VhostUserClient.Deadline
  ) throws(VhostUserBackEndError) {
    features = VirtioFeatures(rawValue: try client.ask(.getFeatures, deadline))
    guard features.contains(.version1) else { throw .lacks("VIRTIO_F_VERSION_1") }
    guard features.contains(.protocolFeatures) else {
      extensions = []
      queueCount = nil
      if kind.remoteConfigurationCount > 0 { throw .lacks("the protocol feature CONFIG") }
      try client.tell(.setOwner, [], deadline)
      return
    }
    let offered = VhostUserProtocolFeatures(
      rawValue: try client.ask(.getProtocolFeatures, deadline)
    )
    var extensions = offered.intersection(Self.known)
    if kind.remoteConfigurationCount == 0 {
      extensions.subtract([.configuration, .backendRequests])
    } else if !extensions.contains(.configuration) {
      throw .lacks("the protocol feature CONFIG")
    }
    self.extensions = extensions
    var bytes = NativeBytes()
    bytes.append(extensions.rawValue)
    try client.tell(.setProtocolFeatures, bytes.array, deadline)
    client.acknowledges = extensions.contains(.replyAck)
    if extensions.contains(.multiQueue) {
      let count = try client.ask(.getQueueCount, deadline)
      guard (1...UInt64(UInt16.max)).contains(count) else {
        throw .badValue(.getQueueCount, "\(count) queues")
      }
      // Back ends of network interfaces count pairs.
      queueCount = kind == .network ? 2 * Int(count) : Int(count)
    } else {
      queueCount = nil
    }
    if extensions.contains(.backendRequests) {
      try client.tell(.setBackendSocket, [], descriptors: [backChannel], deadline)
    }
    try client.tell(.setOwner, [], deadline)
  }

  /// What rings may have besides what every device has.
  var ringFeatures: VirtioFeatures {
    features.intersection([.indirectDescriptors, .eventIndex, .version1, .packedRing])
  }
}
