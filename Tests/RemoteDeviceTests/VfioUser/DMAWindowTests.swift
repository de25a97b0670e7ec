import DeviceModel
import GuestMemory
import HostOS
import PCI
import TestSupport
import Testing
import Virtio

@testable import RemoteDevice

/// What of the guest's memory a taken-over device reaches, which knows where everything is and asks for it.
@Suite(.timeLimit(.minutes(5))) struct DMAWindowTests {
  private let memory: GuestMemory
  private let window: DMAWindow
  private let driver: MockDriver

  init() throws {
    let memory = try GuestMemory(count: 1 << 20)
    let window = DMAWindow(VfioUserShape.CommonRegisters(bar: 0, offset: 0))
    var registers = [UInt64: UInt64]()
    // Registers as a device has them, as far as a driver looks at them.
    let transport = PCIDriverTransport(
      read: { offset, width in
        let value: UInt64 = offset == 0x18 ? 16 : registers[offset] ?? 0
        window.didRead(value, BusAccess(region: 0, offset: offset, width: width))
        return value
      },
      write: { value, offset, width in
        let access = BusAccess(region: 0, offset: offset, width: width)
        window.willWrite(value, access, in: memory)
        registers[offset] = value
        window.didWrite(value, access)
      }
    )
    self.memory = memory
    self.window = window
    driver = MockDriver(transport, in: memory, from: GuestAddress(0x10000))
  }

  private func reads(_ address: GuestAddress, _ count: Int) -> Bool {
    let bytes = try? window.access(.read, address.rawValue, UInt64(count), in: memory) {
      () throws(GuestMemoryError) in try memory.read(at: address, count: count)
    }
    return bytes != nil
  }

  private func writes(_ address: GuestAddress, _ bytes: [UInt8]) -> Bool {
    let done: Void?? = try? window.access(
      .write,
      address.rawValue,
      UInt64(bytes.count),
      in: memory,
      written: bytes
    ) { () throws(GuestMemoryError) in try memory.write(bytes, at: address) }
    return done.flatMap { $0 } != nil
  }

  /// Says that the chain with this head is done, as a device does; which entry it is.
  private func use(_ head: UInt16, _ queue: MockQueue, number: UInt16) -> Bool {
    let entry = queue.usedRing &+ (4 + 8 * UInt64(number % queue.size))
    let next = number &+ 1
    return writes(entry, [UInt8(head), 0, 0, 0]) && writes(entry &+ 4, [0, 0, 0, 0])
      && writes(queue.usedRing &+ 2, [UInt8(next & 0xFF), UInt8(next >> 8)])
  }

  private func makeQueue() throws -> MockQueue {
    driver.transport.status = 0
    driver.transport.acceptFeatures(0)
    return try driver.makeQueue(0)
  }

  @Test func withoutAQueueThereIsNothing() {
    #expect(!reads(GuestAddress(0), 1))
    #expect(!reads(GuestAddress(0x10000), 0x1000))
    #expect(!writes(GuestAddress(0x10000), [1]))
  }

  @Test func ringsAreReadAndOnlyTheDevicesIsWritten() throws {
    let queue = try makeQueue()
    let size = UInt64(queue.size)
    #expect(reads(queue.descriptorTable, 16 * Int(size)))
    #expect(reads(queue.availableRing &+ 2, 2))
    #expect(reads(queue.usedRing, 4))
    #expect(writes(queue.usedRing, [1, 0]))
    #expect(writes(queue.usedRing &+ (4 + 8 * size), [1, 0]))
    // What the driver writes is the driver's.
    #expect(!writes(queue.descriptorTable, [1, 2]))
    #expect(!writes(queue.availableRing &+ 2, [1, 0]))
    // Not a byte beyond them.
    #expect(!reads(queue.descriptorTable &+ 8, 16 * Int(size)))
    #expect(!reads(GuestAddress(queue.descriptorTable.rawValue - 1), 2))
    #expect(!reads(queue.usedRing &+ (4 + 8 * size), 3))
    #expect(!writes(queue.usedRing &+ 2, [1, 0, 0, 0]))
    // No chain is out, so no entry is the device's to fill.
    #expect(!writes(queue.usedRing &+ 4, [0, 0, 0, 0]))
  }

  @Test func buffersAreTheDevicesFromTheKickToTheirUse() throws {
    let queue = try makeQueue()
    let place = try driver.allocate(0x1000, alignment: 0x1000)
    #expect(!reads(place, 16))
    try queue.add([.readable(place.rawValue, 16), .writable(place.rawValue + 0x800, 0x200)])
    let head = try memory.load16(at: queue.availableRing &+ 4)

    #expect(reads(place, 16))
    #expect(reads(place &+ 4, 12))
    #expect(!reads(place, 17))
    #expect(!writes(place, [1]))
    #expect(writes(place &+ 0x800, .init(repeating: 1, count: 0x200)))
    #expect(!writes(place &+ 0x7FF, [1, 2]))
    #expect(!writes(place &+ 0x9FF, [1, 2]))
    #expect(!reads(place &+ 0x400, 1))
    #expect(use(head, queue, number: 0))
    #expect(!reads(place, 16))
    #expect(!writes(place &+ 0x800, [1]))
    #expect(try memory.load8(at: place) == 0)
  }

  @Test func whatWasSaidToBeUsedStaysSo() throws {
    let queue = try makeQueue()
    let place = try driver.allocate(0x1000, alignment: 0x1000)
    try queue.add([.writable(place.rawValue, 0x10)])
    try queue.add([.writable(place.rawValue + 0x100, 0x10)])
    let first = try memory.load16(at: queue.availableRing &+ 4)
    let second = try memory.load16(at: queue.availableRing &+ 6)

    #expect(use(first, queue, number: 0))

    // The driver may look at that entry now: it cannot become another.
    #expect(!writes(queue.usedRing &+ 4, [UInt8(second), 0, 0, 0]))
    #expect(!writes(place, [1]))
    #expect(writes(place &+ 0x100, [1]))
    // Of the rest of the ring only what chains are out for.
    #expect(writes(queue.usedRing &+ 12, [UInt8(second), 0, 0, 0]))
    #expect(!writes(queue.usedRing &+ 20, [UInt8(second), 0, 0, 0]))
  }

  /// Of a queue with all of its entries out, each could be written, were there not one chain less with each that is shown.
  @Test(arguments: [[0xFF, 0xFF, 0, 0], [16, 0, 0, 0], [0, 0, 1, 0]] as [[UInt8]])
  func anEntryOfAFullRingThatNamesNoChainIsNotShown(entry: [UInt8]) throws {
    let queue = try makeQueue()
    let place = try driver.allocate(0x1000, alignment: 0x1000)
    for number in 0..<UInt64(queue.size) {
      try queue.add([.writable(place.rawValue + 0x10 * number, 0x10)])
    }
    #expect(writes(queue.usedRing &+ 4, entry))

    #expect(!writes(queue.usedRing &+ 2, [1, 0]))

    #expect(try memory.load16(at: queue.usedRing &+ 2) == 0)
    // The device can still do it right, and then no more to that entry.
    let head = try memory.load16(at: queue.availableRing &+ 4)
    #expect(use(head, queue, number: 0))
    #expect(!writes(queue.usedRing &+ 4, entry))
    #expect(!writes(place, [1]))
    #expect(writes(place &+ 0x10, [1]))
  }

  @Test func noChainIsShownTwice() throws {
    let queue = try makeQueue()
    let place = try driver.allocate(0x1000, alignment: 0x1000)
    try queue.add([.writable(place.rawValue, 0x10)])
    try queue.add([.writable(place.rawValue + 0x100, 0x10)])
    let first = try memory.load16(at: queue.availableRing &+ 4)
    #expect(reads(queue.availableRing &+ 4, 4) && writes(place, [1]))
    for slot: UInt64 in 0..<2 {
      #expect(writes(queue.usedRing &+ (4 + 8 * slot), [UInt8(first), 0, 0, 0]))
    }
    #expect(!writes(queue.usedRing &+ 2, [2, 0]))
    #expect(writes(queue.usedRing &+ 2, [1, 0]))
    // Neither again, nor one more than are out, nor back.
    for index: UInt8 in [2, 3, 0, 0xFF] { #expect(!writes(queue.usedRing &+ 2, [index, 0])) }
    #expect(writes(place &+ 0x100, [1]))
  }

  /// A driver that looks at the ring all the time takes a chain back, and makes it available anew, as soon as the index is
  /// there.
  @Test func aHeadThatIsMadeAvailableAnewAtOnceIsOut() throws {
    let queue = try makeQueue()
    let place = try driver.allocate(0x1000, alignment: 0x1000)
    try queue.add([.writable(place.rawValue, 0x10)])
    let head = try memory.load16(at: queue.availableRing &+ 4)
    #expect(writes(place, [1]))
    #expect(writes(queue.usedRing &+ 4, [UInt8(head), 0, 0, 0]))
    let done: Void?? = try? window.access(
      .write,
      (queue.usedRing &+ 2).rawValue,
      2,
      in: memory,
      written: [1, 0]
    ) { () throws(GuestMemoryError) in
      try memory.store16(1, at: queue.usedRing &+ 2)
      let descriptor = queue.descriptorTable &+ 16 * UInt64(head)
      try memory.store64(place.rawValue + 0x200, at: descriptor)
      try memory.store16(head, at: queue.availableRing &+ 6)
      try memory.store16(2, at: queue.availableRing &+ 2)
    }
    #expect(done.flatMap { $0 } != nil)
    #expect(!writes(place, [1]))
    #expect(writes(place &+ 0x200, [1]))
  }

  @Test func whatTheDeviceIsToWriteItDoesNotRead() throws {
    let queue = try makeQueue()
    let place = try driver.allocate(0x1000, alignment: 0x1000)
    try queue.add([.writable(place.rawValue, 0x10)])
    #expect(!reads(place, 1))
    #expect(writes(place, [1]))
  }

  @Test func aChainThatWasUsedUnseenIsNotInTheWindow() throws {
    let queue = try makeQueue()
    let place = try driver.allocate(0x1000, alignment: 0x1000)
    try queue.add([.writable(place.rawValue, 0x10)])
    let head = try memory.load16(at: queue.availableRing &+ 4)
    #expect(use(head, queue, number: 0))
    #expect(!writes(place, [1]))
  }

  @Test func anIndirectTableAndWhatItNamesAreTheDevicesToo() throws {
    let queue = try makeQueue()
    let place = try driver.allocate(0x1000, alignment: 0x1000)
    let table = place &+ 0x400
    for (index, entry) in [(place.rawValue, 1), (place.rawValue + 0x200, 2)].enumerated() {
      try memory.store64(entry.0, at: table &+ 16 * UInt64(index))
      let flags: UInt64 = entry.1 == 1 ? 1 | 1 << 16 : 2
      try memory.store64(0x20 | flags << 32, at: table &+ (16 * UInt64(index) + 8))
    }
    try memory.store64(table.rawValue, at: queue.descriptorTable)
    try memory.store64(32 | 4 << 32, at: queue.descriptorTable &+ 8)
    try memory.store16(0, at: queue.availableRing &+ 4)
    try memory.store16(1, at: queue.availableRing &+ 2)

    #expect(reads(table, 32))
    #expect(!writes(table, [1, 2]))
    #expect(reads(place, 0x20))
    #expect(!writes(place, [1]))
    #expect(writes(place &+ 0x200, [1, 2, 3]))
    #expect(!reads(table, 33))
  }

  @Test(arguments: [true, false])
  func afterAResetNothingIsTheDevicesAnyMore(ofTheQueueAlone: Bool) throws {
    let queue = try makeQueue()
    let place = try driver.allocate(0x1000, alignment: 0x1000)
    try queue.add([.writable(place.rawValue, 0x10)])
    #expect(writes(place, [1]))

    if ofTheQueueAlone {
      _ = driver.transport.resetQueue(0)
    } else {
      driver.transport.status = 0
    }

    #expect(!writes(place, [1]))
    #expect(!reads(queue.availableRing &+ 2, 2))
  }

  @Test func aPackedQueueIsNotTakenForASplitOne() throws {
    driver.transport.status = 0
    driver.transport.acceptFeatures(1 << 34)
    let queue = try driver.makeQueue(0)
    #expect(!reads(queue.descriptorTable, 16))
  }

  @Test(arguments: [0x7FFF, 0xFFFF, 0x0011] as [UInt16])
  func anIndexThatJumpsOpensNothing(index: UInt16) throws {
    let queue = try makeQueue()
    try memory.store64(0x8000, at: queue.descriptorTable)
    try memory.store64(0x1000, at: queue.descriptorTable &+ 8)
    try memory.store16(index, at: queue.availableRing &+ 2)
    #expect(!reads(GuestAddress(0x8000), 1))
  }

  @Test func chainsThatLoopAreWalkedNoFurtherThanTheyCanBeLong() throws {
    let queue = try makeQueue()
    for index in 0..<UInt64(queue.size) {
      try memory.store64(0x8000, at: queue.descriptorTable &+ 16 * index)
      try memory.store64(0x10 | 1 << 32 | 0 << 48, at: queue.descriptorTable &+ (16 * index + 8))
      try memory.store16(UInt16(index), at: queue.availableRing &+ (4 + 2 * index))
    }
    try memory.store16(queue.size, at: queue.availableRing &+ 2)
    #expect(reads(GuestAddress(0x8000), 0x10))
    #expect(!reads(GuestAddress(0x8010), 1))
  }

  @Test func aQueueThatIsNotAllInMemoryIsNone() throws {
    let transport = driver.transport
    transport.status = 0
    _ = transport.maximumSize(of: 0)
    // The table is there, and the used ring is cut by the end of memory.
    let end = GuestAddress(1 << 20)
    let queue = try MockQueue(
      in: GuestMemory(count: 2 << 20),
      at: GuestAddress(end.rawValue - 0x1000),
      size: 256,
      eventIndex: false,
      isPacked: false
    )
    _ = transport.enableQueue(0, queue)
    #expect(!reads(queue.descriptorTable, 16))
  }
}
