/// What comes before the data of every packet: `struct virtio_vsock_hdr` (virtio 1.2, 5.10.6).
struct VsockHeader: Equatable {
  /// The length in bytes.
  static var size: Int { 44 }

  /// `enum virtio_vsock_type`.
  enum Kind {
    static var stream: UInt16 { 1 }
  }

  /// `enum virtio_vsock_op`.
  enum Operation: UInt16 {
    case request = 1
    case response = 2
    case reset = 3
    case shutdown = 4
    case readWrite = 5
    case creditUpdate = 6
    case creditRequest = 7
  }

  /// `enum virtio_vsock_shutdown`: what the sender will not do any more.
  struct Shutdown: OptionSet {
    let rawValue: UInt32

    static var receive: Self { Self(rawValue: 1) }
    static var send: Self { Self(rawValue: 2) }
    static var both: Self { [.receive, .send] }
  }

  var sourceCID: UInt64 = 0
  var targetCID: UInt64 = 0
  var sourcePort: UInt32 = 0
  var targetPort: UInt32 = 0
  /// The bytes of data that follow.
  var count: UInt32 = 0
  var type = Kind.stream
  var operation: UInt16 = 0
  var flags: UInt32 = 0
  /// The room of the sender's buffer in all.
  var bufferSize: UInt32 = 0
  /// How many bytes have left that buffer since the beginning.
  var forwarded: UInt32 = 0

  init() {}

  /// Takes the header off the front of `chain`; `nil` if it is cut short.
  init?(_ chain: inout DescriptorChain) {
    guard let sourceCID = chain.readWord(UInt64.self), let targetCID = chain.readWord(UInt64.self),
      let sourcePort = chain.readWord(UInt32.self), let targetPort = chain.readWord(UInt32.self),
      let count = chain.readWord(UInt32.self), let type = chain.readWord(UInt16.self),
      let operation = chain.readWord(UInt16.self), let flags = chain.readWord(UInt32.self),
      let bufferSize = chain.readWord(UInt32.self), let forwarded = chain.readWord(UInt32.self)
    else { return nil }
    self.sourceCID = sourceCID
    self.targetCID = targetCID
    self.sourcePort = sourcePort
    self.targetPort = targetPort
    self.count = count
    self.type = type
    self.operation = operation
    self.flags = flags
    self.bufferSize = bufferSize
    self.forwarded = forwarded
  }

  /// The header as it lies in a buffer, little-endian.
  var bytes: [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(Self.size)
    func append<Word: FixedWidthInteger & UnsignedInteger>(_ word: Word) {
      for index in 0..<Word.bitWidth / 8 {
        bytes.append(UInt8(truncatingIfNeeded: word >> (8 * index)))
      }
    }
    append(sourceCID)
    append(targetCID)
    append(sourcePort)
    append(targetPort)
    append(count)
    append(type)
    append(operation)
    append(flags)
    append(bufferSize)
    append(forwarded)
    return bytes
  }
}
