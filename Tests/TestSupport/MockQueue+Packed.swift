import GuestMemory
import Synchronization

/// The driver's side of a packed ring (virtio 1.2, 2.8).
extension MockQueue {
  /// A place in the ring with its wrap counter.
  struct Place {
    var index: UInt16
    var wrap: Bool

    init(_ rawValue: UInt16) {
      index = rawValue & 0x7FFF
      wrap = rawValue & 0x8000 != 0
    }

    mutating func advance(by count: Int, size: UInt16) {
      let sum = Int(index) + count
      if sum >= Int(size) { wrap.toggle() }
      index = UInt16(sum % Int(size))
    }
  }

  private static var available: UInt16 { 1 << 7 }
  private static var used: UInt16 { 1 << 15 }

  /// Fills the descriptors from the driver's place on, and makes the first available last.
  func addPacked(_ descriptors: [MockDescriptor], id: UInt16) throws {
    var place = availablePlace
    var last: (() throws -> Void)?
    for (index, descriptor) in descriptors.enumerated() {
      var linked = descriptor
      if index + 1 < descriptors.count { linked.flags |= MockDescriptor.next }
      let here = place
      // 2.8.6: the flags of the first are written last.
      if index == 0 {
        last = { try self.write(linked, id: id, at: here) }
      } else {
        try write(linked, id: id, at: here)
      }
      place.advance(by: 1, size: size)
    }
    try last?()
    availablePlace = place
  }

  /// Makes what was stored available, whatever it is; the first descriptor's flags come last.
  func offerPacked() throws {
    for (index, descriptor) in stored.sorted(by: { $0.key > $1.key }) {
      var place = availablePlace
      place.index = index
      try write(descriptor, id: index, at: place)
    }
    stored = [:]
  }

  private func write(_ descriptor: MockDescriptor, id: UInt16, at place: Place) throws {
    let address = descriptorTable &+ 16 * UInt64(place.index)
    let flags = descriptor.flags | (place.wrap ? Self.available : Self.used)
    try memory.store64(descriptor.address, at: address)
    try memory.store64(
      UInt64(descriptor.count) | UInt64(id) << 32 | UInt64(flags) << 48,
      at: address &+ 8
    )
  }

  /// The used descriptor at `place`, if there is one.
  func usedDescriptor(at place: Place) throws -> (id: UInt16, written: UInt32, flags: UInt16)? {
    let word = try memory.load64(at: descriptorTable &+ 16 * UInt64(place.index) &+ 8)
    let flags = UInt16(truncatingIfNeeded: word >> 48)
    let (isAvailable, isUsed) = (flags & Self.available != 0, flags & Self.used != 0)
    guard isAvailable == place.wrap, isUsed == place.wrap else { return nil }
    return (UInt16(truncatingIfNeeded: word >> 32), UInt32(truncatingIfNeeded: word), flags)
  }

  /// Whether the device wants to be kicked for the descriptors that were made available
  /// (2.8.21.3.1).
  func needsKickPacked(_ count: Int) throws -> Bool {
    let event = try memory.load32(at: usedRing)
    guard event >> 16 == 2 else { return event >> 16 == 0 }
    let wanted = Place(UInt16(truncatingIfNeeded: event))
    var passed = Int(availablePlace.index) - Int(wanted.index)
    if wanted.wrap != availablePlace.wrap { passed += Int(size) }
    return passed > 0 && passed <= count
  }
}
