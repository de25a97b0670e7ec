/// How much each side of a connection may still send: what the other's buffer has room for (virtio 1.2,
/// 5.10.6.3).
///
/// The counts of bytes run freely and wrap at 2^32.
struct VsockCredit {
  /// The room for what the guest sends, in bytes.
  static var bufferSize: UInt32 { 256 << 10 }
  // After so many bytes have left the buffer, the guest is told without having asked.
  private static var step: UInt32 { bufferSize / 4 }

  /// Bytes that came from the guest, and those of them that have gone on.
  private var received: UInt32 = 0
  private(set) var forwarded: UInt32 = 0
  /// What the guest knows of that.
  private var reported: UInt32 = 0

  /// Bytes that went to the guest.
  private var sent: UInt32 = 0
  private var peerForwarded: UInt32 = 0
  private var peerBufferSize: UInt32 = 0

  /// Bytes that came and have not gone on.
  var pending: UInt32 { received &- forwarded }

  /// How many bytes may go to the guest now.
  var available: UInt32 {
    let outstanding = sent &- peerForwarded
    return outstanding >= peerBufferSize ? 0 : peerBufferSize - outstanding
  }

  /// Notes what a packet says of the guest's buffer.
  ///
  /// - Returns: False if it says that more has left the buffer than ever came there.
  mutating func update(_ header: VsockHeader) -> Bool {
    // A buffer that keeps more than half of what can be counted is none.
    guard sent &- header.forwarded <= UInt32.max / 2 else { return false }
    peerForwarded = header.forwarded
    peerBufferSize = min(header.bufferSize, UInt32.max / 2)
    return true
  }

  /// Notes bytes that came.
  ///
  /// - Returns: False if there was no room for them.
  mutating func receive(_ count: UInt32) -> Bool {
    guard count <= Self.bufferSize - pending else { return false }
    received &+= count
    return true
  }

  /// Notes bytes that have gone on.
  mutating func forward(_ count: Int) { forwarded &+= UInt32(truncatingIfNeeded: count) }

  /// Notes bytes that went to the guest.
  mutating func send(_ count: Int) { sent &+= UInt32(truncatingIfNeeded: count) }

  /// Whether the guest is to be told that there is room again.
  var isReportDue: Bool { forwarded &- reported >= Self.step }

  /// Fills in what the guest is told with every packet.
  mutating func report(in header: inout VsockHeader) {
    header.bufferSize = Self.bufferSize
    header.forwarded = forwarded
    reported = forwarded
  }
}
