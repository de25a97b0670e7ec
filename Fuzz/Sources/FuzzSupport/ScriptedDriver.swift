public import GuestMemory
import HostOS
public import Virtio

/// A driver of one queue that does what a script says, which is seldom what it should.
///
/// Memory is made once: two regions that touch at 0x8000, then a hole. Each run begins with zeroes.
/// Rings are in the first pages, and what descriptors point to is anywhere in the first 64 KiB, unless the
/// driver is one of several.
public final class ScriptedDriver {
  /// Guest RAM.
  public let memory: GuestMemory
  private let kick: EventFD
  private let index: Int
  private let count: UInt64
  private let descriptorTable: UInt64
  private let availableRing: UInt64
  private let usedRing: UInt64
  private var isPacked = false
  // Where a driver of a packed ring stands, with its wrap counter in bit 15.
  private var place: UInt16 = 0

  /// Makes the memory, and a driver of its only queue.
  public init() throws {
    memory = try GuestMemory([(GuestAddress(0), 0x8000), (GuestAddress(0x8000), 0x8000)])
    kick = try EventFD()
    index = 0
    count = 0x10000
    (descriptorTable, availableRing, usedRing) = (0, 0x1000, 0x2000)
  }

  /// Makes a driver of queue `index` of several, whose rings come after the first 64 KiB.
  public init(_ index: Int, in memory: GuestMemory) throws {
    self.memory = memory
    kick = try EventFD()
    self.index = index
    let base = 0x10000 + Self.ringCount * UInt64(index)
    count = Self.ringCount
    (descriptorTable, availableRing, usedRing) = (base, base + 0x1000, base + 0x2000)
  }

  /// The bytes that the rings of one queue take.
  public static var ringCount: UInt64 { 0x3000 }

  /// Clears memory, and places a queue of a size and with the features that the script picks.
  public func begin(_ script: inout Script) throws -> VirtqueueConfiguration {
    try memory.zero(GuestAddress(count == Self.ringCount ? descriptorTable : 0), count: count)
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
    if !isPacked { try memory.store16(start, at: GuestAddress(availableRing + 2)) }
    return VirtqueueConfiguration(
      index: index,
      size: size,
      descriptorTable: GuestAddress(descriptorTable),
      availableRing: GuestAddress(availableRing),
      usedRing: GuestAddress(usedRing),
      features: features,
      kick: kick,
      state: VirtqueueState(available: start, used: start)
    )
  }

  /// Does one thing to memory.
  public func step(_ script: inout Script, size: UInt16) throws {
    switch script.byte() % 8 {
    case 0, 1:
      try storeDescriptor(&script, in: descriptorTable)
    case 2:
      // A table for indirect descriptors, aligned or not, often across the regions.
      try storeDescriptor(&script, in: 0x7F80 + UInt64(script.byte() % 32))
    case 3, 4:
      try offer(UInt16(script.byte()) % size, size: size)
    case 5:
      try memory.store16(script.word16(), at: GuestAddress(availableRing + 2))
    case 6:
      let value = script.byte()
      let place = UInt64(script.word16())
      // Of several, one byte in two is in rings.
      let isInRings = count == Self.ringCount && value & 1 == 1
      try memory.store8(
        value,
        at: GuestAddress(isInRings ? descriptorTable + place % Self.ringCount : place)
      )
    default:
      try storeHeader(&script)
    }
  }

  /// Makes a chain available by the rules: `bytes`, in one piece or in several, then up to three buffers to
  /// write to.
  public func request(_ bytes: [UInt8], _ script: inout Script, size: UInt16) throws {
    let shape = script.byte()
    let place = 0x3000 + 0x400 * UInt64(shape & 7)
    if !bytes.isEmpty { try memory.write(bytes, at: GuestAddress(place)) }
    let pieces = bytes.isEmpty ? 0 : UInt64(shape >> 3 & 1) + 1
    var parts: [(address: UInt64, count: UInt32, flags: UInt16)] = []
    for piece in 0..<pieces {
      let from = UInt64(bytes.count) * piece / pieces
      let to = UInt64(bytes.count) * (piece + 1) / pieces
      parts.append((place + from, UInt32(to - from), 0))
    }
    for _ in 0..<(shape >> 4 & 3) {
      let kind = script.byte()
      let count = Self.bufferCounts[Int(kind) % Self.bufferCounts.count]
      parts.append((0x5000 + 0x200 * UInt64(kind >> 4), count, 2))
    }
    parts = Array(parts.prefix(Int(size)))
    guard !parts.isEmpty else { return }
    let head = UInt16(script.byte()) % size
    for (offset, part) in parts.enumerated() {
      let isLast = offset + 1 == parts.count
      let flags = part.flags | (isLast ? 0 : 1)
      let number = isPacked ? UInt64(self.place & 0x7FFF) : UInt64((Int(head) + offset) % Int(size))
      let entry = GuestAddress(descriptorTable + 16 * number)
      try memory.store64(part.address, at: entry)
      try memory.store32(part.count, at: entry &+ 8)
      if isPacked {
        let state: UInt16 = self.place & 0x8000 != 0 ? 1 << 7 : 1 << 15
        try memory.store16(head, at: entry &+ 12)
        try memory.store16(flags | state, at: entry &+ 14)
        advance(size)
      } else {
        try memory.store16(flags, at: entry &+ 12)
        try memory.store16((head + UInt16(offset) + 1) % size, at: entry &+ 14)
      }
    }
    if !isPacked { try offer(head, size: size) }
  }

  private static let bufferCounts: [UInt32] = [
    0, 1, 7, 8, 11, 12, 44, 64, 100, 1526, 4096, 0x8000, 0xA000,
  ]

  private func advance(_ size: UInt16) {
    place += 1
    if place & 0x7FFF == size { place = place & 0x8000 ^ 0x8000 }
  }

  /// Makes a descriptor available by the rules: of a packed ring, those from the driver's place on.
  private func offer(_ head: UInt16, size: UInt16) throws {
    guard !isPacked else {
      for _ in 0...(head % 4) {
        let flags = GuestAddress(descriptorTable + 16 * UInt64(place & 0x7FFF) + 14)
        let state: UInt16 = place & 0x8000 != 0 ? 1 << 7 : 1 << 15
        try memory.store16(try memory.load16(at: flags) & 0x7F7F | state, at: flags)
        advance(size)
      }
      return
    }
    let index = try memory.load16(at: GuestAddress(availableRing + 2))
    let slot = UInt64(index & (size - 1))
    try memory.store16(head, at: GuestAddress(availableRing + 4 + 2 * slot))
    try memory.store16(index &+ 1, at: GuestAddress(availableRing + 2))
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
