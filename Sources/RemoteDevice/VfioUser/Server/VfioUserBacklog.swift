import HostOS

/// Requests that came while a reply was waited for, in their order.
///
/// Owned by a lock.
struct VfioUserBacklog {
  // The most that is kept; no client has so much under way. The longest message there can be is half of it.
  private static var byteLimit: Int { 2 << 20 }
  private static var descriptorLimit: Int { 256 }
  private static var packetLimit: Int { 1024 }

  private final class KeptPacket {
    private var packet: VfioUserPacket?
    let byteCount: Int
    let descriptorCount: Int

    init(_ packet: consuming VfioUserPacket) {
      byteCount = VfioUserHeader.count + packet.payload.count
      descriptorCount = packet.descriptors.count
      self.packet = consume packet
    }

    func take() -> VfioUserPacket? { packet.take() }
  }

  private var packets: [KeptPacket] = []
  // Those before it have been taken.
  private var first = 0
  private var byteCount = 0
  private var descriptorCount = 0

  /// Whether there is none.
  var isEmpty: Bool { first == packets.count }

  /// Keeps a request.
  ///
  /// - Throws: ``VfioUserError/flood(_:)`` if there are more than anybody has a use for.
  mutating func append(_ packet: consuming VfioUserPacket) throws(VfioUserError) {
    let kept = KeptPacket(packet)
    byteCount += kept.byteCount
    descriptorCount += kept.descriptorCount
    packets.append(kept)
    guard packets.count - first <= Self.packetLimit, byteCount <= Self.byteLimit,
      descriptorCount <= Self.descriptorLimit
    else { throw .flood("requests while a reply is waited for") }
  }

  /// Takes the oldest request; `nil` if there is none.
  mutating func takeFirst() -> VfioUserPacket? {
    guard !isEmpty else { return nil }
    let kept = packets[first]
    first += 1
    byteCount -= kept.byteCount
    descriptorCount -= kept.descriptorCount
    if isEmpty {
      packets.removeAll(keepingCapacity: true)
      first = 0
    } else if first >= Self.packetLimit {
      packets.removeFirst(first)
      first = 0
    }
    return kept.take()
  }
}
