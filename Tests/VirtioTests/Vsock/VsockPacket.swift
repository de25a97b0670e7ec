/// A packet of a socket device, as a driver sees it (virtio 1.2, 5.10.6).
struct VsockPacket: Equatable {
  static let request: UInt16 = 1
  static let response: UInt16 = 2
  static let reset: UInt16 = 3
  static let shutdown: UInt16 = 4
  static let readWrite: UInt16 = 5
  static let creditUpdate: UInt16 = 6
  static let creditRequest: UInt16 = 7

  var source: UInt64 = 3
  var target: UInt64 = 2
  var sourcePort: UInt32 = 0
  var targetPort: UInt32 = 0
  var type: UInt16 = 1
  var operation: UInt16 = 0
  var flags: UInt32 = 0
  var bufferSize: UInt32 = 1 << 16
  var forwarded: UInt32 = 0
  var data: [UInt8] = []
  /// The length in the header, if it is not that of the data.
  var count: UInt32?

  var bytes: [UInt8] {
    Self.bytes(source, 8) + Self.bytes(target, 8) + Self.bytes(UInt64(sourcePort), 4)
      + Self.bytes(UInt64(targetPort), 4) + Self.bytes(UInt64(count ?? UInt32(data.count)), 4)
      + Self.bytes(UInt64(type), 2) + Self.bytes(UInt64(operation), 2)
      + Self.bytes(UInt64(flags), 4) + Self.bytes(UInt64(bufferSize), 4)
      + Self.bytes(UInt64(forwarded), 4) + data
  }

  /// A packet from `from` to `to`.
  init(_ operation: UInt16, from sourcePort: UInt32, to targetPort: UInt32) {
    self.operation = operation
    self.sourcePort = sourcePort
    self.targetPort = targetPort
  }

  /// Reads the bytes of a packet; `nil` if there are too few or too many.
  init?(_ bytes: [UInt8]) {
    guard bytes.count >= 44 else { return nil }
    func number(_ range: Range<Int>) -> UInt64 {
      bytes[range].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
    source = number(0..<8)
    target = number(8..<16)
    sourcePort = UInt32(number(16..<20))
    targetPort = UInt32(number(20..<24))
    type = UInt16(number(28..<30))
    operation = UInt16(number(30..<32))
    flags = UInt32(number(32..<36))
    bufferSize = UInt32(number(36..<40))
    forwarded = UInt32(number(40..<44))
    data = Array(bytes[44...])
    guard number(24..<28) == UInt64(data.count) else { return nil }
  }

  private static func bytes(_ value: UInt64, _ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
  }
}
