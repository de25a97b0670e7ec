import GuestMemory
import HostOS
import RemoteDevice
import Testing
import TestSupport

/// Ranges of memory that a peer maps and unmaps.
@Suite struct HostedMemoryTests {
  @Test(
    arguments: [
      (1, 0x1000, 0), (0, 0, 0), (0, 0x1001, 0), (0, 0x1000, 1), (0xFFFF_FFFF_FFFF_F000, 0x2000, 0),
      (0, 0x2000, 0xFFFF_FFFF_FFFF_F000),
    ] as [(UInt64, UInt64, UInt64)]
  )
  func aRangeIsWholePagesThatDoNotWrap(address: UInt64, size: UInt64, offset: UInt64) throws {
    var memory = HostedMemory(fault: try EventFD())

    #expect(throws: HostedMemoryError.badRange(address: address, size: size, offset: offset)) {
      try memory.map(address, size: size, access: .read, offset: offset)
    }
  }

  @Test(arguments: [0x3000, 0x4000, 0x5000, 0x2000] as [UInt64])
  func rangesDoNotOverlap(address: UInt64) throws {
    var memory = HostedMemory(fault: try EventFD())
    try memory.map(0x4000, size: 0x2000, access: .read)

    #expect(throws: HostedMemoryError.overlap(address: address, size: 0x3000, existing: 0x4000)) {
      try memory.map(address, size: 0x3000, access: .read)
    }
    try memory.map(0x6000, size: 0x1000, access: .read)
    try memory.map(0x1000, size: 0x3000, access: .read)
    #expect(memory.ranges.map(\.address) == [0x1000, 0x4000, 0x6000])
  }

  @Test func asManyRangesAreMappedAsPeersAreTold() throws {
    var memory = HostedMemory(fault: try EventFD())
    let file = try MemoryFile(count: 0x1000)
    for index in 0..<UInt64(HostedMemory.limit) {
      try memory.map(
        index * 0x1000,
        size: 0x1000,
        access: [.read, .write],
        file.descriptor.duplicated()
      )
    }

    #expect(memory.ranges.count == HostedMemory.limit)
    #expect(throws: HostedMemoryError.tooMany(limit: HostedMemory.limit)) {
      try memory.map(1 << 40, size: 0x1000, access: .read)
    }
  }

  @Test func onlyWholeRangesAreTakenAway() throws {
    var memory = HostedMemory(fault: try EventFD())
    for address in [0x1000, 0x2000, 0x8000] as [UInt64] {
      try memory.map(address, size: 0x1000, access: .read)
    }
    try memory.map(0x10000, size: 0x4000, access: .read)

    #expect(throws: HostedMemoryError.notThere(address: 0x3000, size: 0x1000)) {
      try memory.unmap(0x3000, size: 0x1000)
    }
    #expect(
      throws: HostedMemoryError.partial(address: 0x8000, size: 0x9000, existing: 0x10000)
    ) {
      try memory.unmap(0x8000, size: 0x9000)
    }
    try memory.unmap(0, size: 0x8000)
    #expect(memory.ranges.map(\.address) == [0x8000, 0x10000])
    try memory.unmap(0, size: .max)
    #expect(memory.ranges.isEmpty)
  }

  @Test func thereIsALimit() throws {
    var memory = HostedMemory(fault: try EventFD())
    for index in 0..<UInt64(HostedMemory.limit) {
      try memory.map(index << 13, size: 0x1000, access: .read)
    }

    #expect(throws: HostedMemoryError.tooMany(limit: HostedMemory.limit)) {
      try memory.map(1 << 40, size: 0x1000, access: .read)
    }
  }

  @Test func aFileMustHaveTheBytesAndBeOne() throws {
    var memory = HostedMemory(fault: try EventFD())
    let file = try MemoryFile(count: 0x2000)
    #expect(throws: HostedMemoryError.self) {
      try memory.map(
        0,
        size: 0x3000,
        access: [.read, .write],
        file.descriptor.duplicated()
      )
    }
    let pair = try SocketPair()
    #expect(throws: HostedMemoryError.badFile(.notMemory(.streamSocket))) {
      try memory.map(0, size: 0x1000, access: [.read, .write], pair.far.duplicated())
    }
    #expect(memory.ranges.isEmpty)

    try memory.map(0, size: 0x2000, access: [.read, .write], file.descriptor.duplicated())
    try file.truncate(to: 0)
    #expect(try memory.makeGuestMemory().load8(at: GuestAddress(0x1000)) == 0)
    #expect(memory.isBroken)
  }
}
