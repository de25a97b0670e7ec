/// What a block request wants (virtio 1.2, 5.2.6).
enum BlockRequestType: UInt32 {
  case read = 0
  case write = 1
  case flush = 4
  case identify = 8
  case discard = 11
  case writeZeroes = 13
}

/// The last byte of a block request, which the device writes (5.2.6).
enum BlockRequestStatus: UInt8 {
  case ok = 0
  case ioError = 1
  case unsupported = 2
}

/// The 16 bytes that a block request begins with (5.2.6), as far as they matter.
struct BlockRequestHeader {
  let type: UInt32
  let sector: UInt64

  /// Takes the header off the front of `chain`; `nil` if it is cut short.
  init?(_ chain: inout DescriptorChain) {
    guard let type = chain.readWord(UInt32.self), chain.readWord(UInt32.self) != nil,
      let sector = chain.readWord(UInt64.self)
    else { return nil }
    self.type = type
    self.sector = sector
  }
}
