public import GuestMemory
public import HostOS
public import Virtio

/// A driver that does what a script says, which is seldom what it should.
///
/// Memory is made once: two regions that touch at 0x8000, then a hole. Each run begins with zeroes.
public final class ScriptedDriver {
  /// Guest RAM.
  public let memory: GuestMemory
  private let kick: EventFD
  private static let count: UInt64 = 0x10000
  private static let descriptorTable: UInt64 = 0
  private static let availableRing: UInt64 = 0x1000
  private static let usedRing: UInt64 = 0x2000
  private var isPacked = false
  // Where a driver of a packed ring stands, with its wrap counter in bit 15.
  private var place: UInt16 = 0

  /// Makes the memory.
  public init() throws {
    memory = try GuestMemory([(GuestAddress(0), 0x8000), (GuestAddress(0x8000), 0x8000)])
    kick = try EventFD()
  }

  /// Clears memory, and places a queue of a size and with the features that the script picks.
  public func begin(_ script: inout Script) throws -> VirtqueueConfiguration {
    try memory.zero(GuestAddress(0), count: Self.count)
    let choice = script.byte()
    var features: VirtioFeatures = .version1
    if choice & 0x10 != 0 { features.insert(.eventIndex) }
    if choice & 0x20 == 0 { features.insert(.indirectDescriptors) }
    if choice & 0x80 != 0 { features.insert(.inOrder) }
    isPacked = choice & 8 != 0
    if isPacked { features.insert(.packedRing) }
    let size = isPacked ? UInt16(choice & 7) + 1 : 1 << UInt16(choice & 7)
    var start: UInt16 = isPacked ? 0x8000 : 0
    if choice & 0x40 != 0 {
      start = script.word16()
      if isPacked { start = start & 0x8000 | start & 0x7FFF % size }
    }
    place = start
    if !isPacked { try memory.store16(start, at: GuestAddress(Self.availableRing + 2)) }
    return VirtqueueConfiguration(
      index: 0,
      size: size,
      descriptorTable: GuestAddress(Self.descriptorTable),
      availableRing: GuestAddress(Self.availableRing),
      usedRing: GuestAddress(Self.usedRing),
      features: features,
      kick: kick,
      state: VirtqueueState(available: start, used: start)
    )
  }

  /// Does one thing to memory.
  public func step(_ script: inout Script, size: UInt16) throws {
    switch script.byte() % 8 {
    case 0, 1:
      try storeDescriptor(&script, in: Self.descriptorTable)
    case 2:
      // A table for indirect descriptors, aligned or not, often across the regions.
      try storeDescriptor(&script, in: 0x7F80 + UInt64(script.byte() % 32))
    case 3, 4:
      try offer(UInt16(script.byte()) % size, size: size)
    case 5:
      try memory.store16(script.word16(), at: GuestAddress(Self.availableRing + 2))
    case 6:
      try memory.store8(script.byte(), at: GuestAddress(UInt64(script.word16())))
    default:
      try storeHeader(&script)
    }
  }

  /// Makes a descriptor available by the rules: of a packed ring, those from the driver's place on.
  private func offer(_ head: UInt16, size: UInt16) throws {
    guard !isPacked else {
      for _ in 0...(head % 4) {
        let flags = GuestAddress(Self.descriptorTable + 16 * UInt64(place & 0x7FFF) + 14)
        let state: UInt16 = place & 0x8000 != 0 ? 1 << 7 : 1 << 15
        try memory.store16(try memory.load16(at: flags) & 0x7F7F | state, at: flags)
        place += 1
        if place & 0x7FFF == size { place = place & 0x8000 ^ 0x8000 }
      }
      return
    }
    let index = try memory.load16(at: GuestAddress(Self.availableRing + 2))
    let slot = UInt64(index & (size - 1))
    try memory.store16(head, at: GuestAddress(Self.availableRing + 4 + 2 * slot))
    try memory.store16(index &+ 1, at: GuestAddress(Self.availableRing + 2))
  }

  /// Writes a descriptor whose fields are mostly plausible.
  private func storeDescriptor(_ script: inout Script, in table: UInt64) throws {
    let place = GuestAddress(table + 16 * UInt64(script.byte() % 128))
    let shape = script.byte()
    let address =
      switch shape & 3 {
      case 0, 1: UInt64(script.word16())
      case 2: 0x7F80 + UInt64(script.byte() % 32)
      default: script.word64()
      }
    let count = shape & 4 == 0 ? UInt32(script.byte()) * 16 : script.word32()
    try memory.store64(address, at: place)
    try memory.store32(count, at: place &+ 8)
    let other = shape & 0x40 == 0 ? UInt16(script.byte() % 16) : script.word16()
    let flags = UInt16(shape >> 3 & 7)
    // In a packed ring a buffer ID comes before the flags; bit 7 of the shape makes the descriptor
    // available at once.
    let state: UInt16 = shape & 0x80 == 0 ? 0 : self.place & 0x8000 != 0 ? 1 << 7 : 1 << 15
    try memory.store16(isPacked ? other : flags, at: place &+ 12)
    try memory.store16(isPacked ? flags | state : other, at: place &+ 14)
  }

  /// Writes what a block request begins with.
  private func storeHeader(_ script: inout Script) throws {
    let place = GuestAddress(0x3000 + 16 * UInt64(script.byte() % 16))
    try memory.store32(UInt32(script.byte() % 16), at: place)
    try memory.store64(
      script.byte() & 1 == 0 ? UInt64(script.byte()) : script.word64(),
      at: place &+ 8
    )
  }
}
