import Synchronization

/// What a network device has moved and dropped since it was made; any thread may look.
public final class NetCounters: Sendable {
  /// A copy of the numbers.
  public struct Values: Equatable, Sendable {
    /// Frames that the guest received.
    public var received: UInt64 = 0
    /// Bytes of them.
    public var receivedBytes: UInt64 = 0
    /// Frames that the guest sent, and that the network took.
    public var sent: UInt64 = 0
    /// Bytes of them.
    public var sentBytes: UInt64 = 0
    /// Frames that came for somebody else, by the driver's choice of addresses and VLANs.
    public var filtered: UInt64 = 0
    /// Frames that came and could not be given to the driver: too large for it, or with the link down.
    public var receiveDropped: UInt64 = 0
    /// Frames of the guest that are none, by their length or their header.
    public var malformed: UInt64 = 0
    /// Frames of the guest that the network did not take.
    public var sendDropped: UInt64 = 0
    /// Buffers of the driver for frames to come that cannot hold a header.
    public var uselessBuffers: UInt64 = 0
  }

  private let received = Atomic<UInt64>(0)
  private let receivedBytes = Atomic<UInt64>(0)
  private let sent = Atomic<UInt64>(0)
  private let sentBytes = Atomic<UInt64>(0)
  private let filtered = Atomic<UInt64>(0)
  private let receiveDropped = Atomic<UInt64>(0)
  private let malformed = Atomic<UInt64>(0)
  private let sendDropped = Atomic<UInt64>(0)
  private let uselessBuffers = Atomic<UInt64>(0)

  init() {}

  /// The numbers now.
  public var values: Values {
    Values(
      received: received.load(ordering: .relaxed),
      receivedBytes: receivedBytes.load(ordering: .relaxed),
      sent: sent.load(ordering: .relaxed),
      sentBytes: sentBytes.load(ordering: .relaxed),
      filtered: filtered.load(ordering: .relaxed),
      receiveDropped: receiveDropped.load(ordering: .relaxed),
      malformed: malformed.load(ordering: .relaxed),
      sendDropped: sendDropped.load(ordering: .relaxed),
      uselessBuffers: uselessBuffers.load(ordering: .relaxed)
    )
  }

  func countReceived(_ bytes: Int) {
    received.wrappingAdd(1, ordering: .relaxed)
    receivedBytes.wrappingAdd(UInt64(bytes), ordering: .relaxed)
  }

  func countSent(_ bytes: UInt64) {
    sent.wrappingAdd(1, ordering: .relaxed)
    sentBytes.wrappingAdd(bytes, ordering: .relaxed)
  }

  func countFiltered() { filtered.wrappingAdd(1, ordering: .relaxed) }
  func countReceiveDropped() { receiveDropped.wrappingAdd(1, ordering: .relaxed) }
  func countMalformed() { malformed.wrappingAdd(1, ordering: .relaxed) }
  func countSendDropped() { sendDropped.wrappingAdd(1, ordering: .relaxed) }
  func countUselessBuffer() { uselessBuffers.wrappingAdd(1, ordering: .relaxed) }
}
