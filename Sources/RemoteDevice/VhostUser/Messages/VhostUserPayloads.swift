/// A piece of guest memory, as a front end describes it (`memory region description`).
struct VhostUserRegion: Equatable, Sendable {
  /// The length of the description in bytes.
  static var count: Int { 32 }

  /// Where the guest has it.
  let guestAddress: UInt64
  /// Its length in bytes.
  let size: UInt64
  /// Where the front end has it.
  let userAddress: UInt64
  /// Where in its file it begins.
  let offset: UInt64

  init(_ bytes: NativeBytes, at place: Int) {
    guestAddress = bytes.word(at: place)
    size = bytes.word(at: place + 8)
    userAddress = bytes.word(at: place + 16)
    offset = bytes.word(at: place + 24)
  }

  init(guestAddress: UInt64, size: UInt64, userAddress: UInt64, offset: UInt64) {
    self.guestAddress = guestAddress
    self.size = size
    self.userAddress = userAddress
    self.offset = offset
  }

  /// The description as it is sent.
  var bytes: [UInt8] {
    var bytes = NativeBytes()
    for word in [guestAddress, size, userAddress, offset] { bytes.append(word) }
    return bytes.array
  }
}

extension VhostUserRegion: CustomStringConvertible {
  var description: String {
    "region of \(size) bytes at 0x\(String(guestAddress, radix: 16)), user address "
      + "0x\(String(userAddress, radix: 16)), offset \(offset)"
  }
}

/// Where a ring's parts are (`vring address description`).
struct VhostUserRingAddresses: Equatable, Sendable {
  /// `VHOST_VRING_F_LOG`: writes to the used ring are noted.
  static var logFlag: UInt32 { 1 }

  let flags: UInt32
  let descriptors: UInt64
  let used: UInt64
  let available: UInt64
  /// What the first byte of the used ring is noted as.
  let log: UInt64

  /// The description of ring `index` as it is sent.
  func bytes(of index: Int) -> [UInt8] {
    var bytes = NativeBytes()
    bytes.append(UInt32(index))
    bytes.append(flags)
    for word in [descriptors, used, available, log] { bytes.append(word) }
    return bytes.array
  }
}

/// Memory that notes what is under way (`inflight description`).
struct VhostUserInflight: Equatable, Sendable {
  let size: UInt64
  let offset: UInt64
  let queueCount: UInt16
  let queueSize: UInt16
  /// How long the description was, with or without padding at its end.
  let payloadCount: Int

  /// The length of the description with the padding of a C compiler.
  static var count: Int { 24 }

  /// The description as it is sent.
  var bytes: [UInt8] {
    var bytes = NativeBytes()
    bytes.append(size)
    bytes.append(offset)
    bytes.append(queueCount)
    bytes.append(queueSize)
    bytes.append([UInt8](repeating: 0, count: payloadCount - bytes.array.count))
    return bytes.array
  }
}
