import GuestMemory

/// The words of a ring, which was found in RAM when its queue was made: RAM never changes, and none
/// of these can fail.
extension GuestMemory {
  /// The part of a queue that was found in RAM.
  func ringWindow(_ address: GuestAddress, count: UInt64) -> MemoryWindow {
    guard let window = window(address, count: count) else {
      preconditionFailure("\(count) bytes of a ring at \(address) were not checked")
    }
    return window
  }

  @inline(__always)
  func ringWord16(at address: GuestAddress) -> UInt16 { (try? load16(at: address)) ?? 0 }

  @inline(__always)
  func ringWord32(at address: GuestAddress) -> UInt32 { (try? load32(at: address)) ?? 0 }

  @inline(__always)
  func ringWord64(at address: GuestAddress) -> UInt64 { (try? load64(at: address)) ?? 0 }

  @inline(__always)
  func setRingWord16(_ value: UInt16, at address: GuestAddress) {
    try? store16(value, at: address)
  }

  @inline(__always)
  func setRingWord32(_ value: UInt32, at address: GuestAddress) {
    try? store32(value, at: address)
  }

  @inline(__always)
  func setRingWord64(_ value: UInt64, at address: GuestAddress) {
    try? store64(value, at: address)
  }
}
