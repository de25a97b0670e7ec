import GuestMemory
import HostOS
import Testing
import TestSupport
import Virtio

/// A disk behind a vfio-user client that keeps the rules.
@Suite(.timeLimit(.minutes(5))) struct VfioUserDiskTests {
  typealias Client = VfioUserTestClient

  @Test(arguments: [[], .packedRing, .eventIndex] as [VirtioFeatures])
  func aDiskIsReadAndWritten(without: VirtioFeatures) throws {
    let rig = try VfioUserDiskRig()
    let queue = try rig.start(without: without)
    for sector in 0..<20 as Range<UInt64> { #expect(try rig.readsSector(sector, queue)) }

    let place = try rig.driver.allocate(1024, alignment: 1024)
    try rig.memory.store64(1, at: place)
    try rig.memory.store64(7, at: place &+ 8)
    try rig.memory.write([UInt8](repeating: 0xA5, count: 512), at: place &+ 512)
    try rig.driver.request(
      0,
      queue,
      [
        .readable(place.rawValue, 16), .readable(place.rawValue + 512, 512),
        .writable(place.rawValue + 16, 1),
      ]
    )

    #expect(try rig.memory.load8(at: place &+ 16) == 0)
    #expect(try rig.folder.bytes(at: rig.path)[(7 * 512)..<(8 * 512)].allSatisfy { $0 == 0xA5 })
    #expect(rig.rig.log.notices == [])
  }

  @Test func thePinIsSignalledOnceUntilItIsUnmasked() throws {
    let rig = try VfioUserDiskRig()
    let queue = try rig.start(without: .eventIndex)
    try rig.client.ask(8, Client.interrupts(0x24, 0), descriptors: [rig.pin.rawValue])

    #expect(try rig.readsSector(1, queue))
    #expect(waitUntil { rig.pin.drain() == 1 })
    // A second interrupt while it is still up, and masked by itself.
    #expect(try rig.readsSector(2, queue))
    #expect(try rig.client.readRegion(7, 6, count: 1)[0] & 8 == 8)
    #expect(rig.pin.drain() == 0)
    // It is still up.
    try rig.client.ask(8, Client.interrupts(0x11, 0))
    #expect(rig.pin.drain() == 1)
    // The driver has served it.
    #expect(try rig.client.readRegion(0, 0x1000, count: 1) == [1])
    try rig.client.ask(8, Client.interrupts(0x11, 0))
    #expect(rig.pin.drain() == 0)
    #expect(try rig.readsSector(3, queue))
    #expect(waitUntil { rig.pin.drain() == 1 })
  }

  @Test func thePinIsMaskedAndUnmaskedByMessageOrByEventfd() throws {
    let rig = try VfioUserDiskRig()
    let queue = try rig.start(without: .eventIndex)
    let resample = try EventFD()
    try rig.client.ask(8, Client.interrupts(0x24, 0), descriptors: [rig.pin.rawValue])
    try rig.client.ask(8, Client.interrupts(0x09, 0))
    try rig.client.ask(8, Client.interrupts(0x14, 0), descriptors: [resample.rawValue])

    #expect(try rig.readsSector(1, queue))
    #expect(try rig.client.readRegion(7, 6, count: 1)[0] & 8 == 8)
    #expect(rig.pin.drain() == 0)
    resample.signal()
    #expect(waitUntil { rig.pin.drain() == 1 })
    resample.signal()
    #expect(waitUntil { rig.pin.drain() == 1 })

    // Taken away, it is silent.
    try rig.client.ask(8, Client.interrupts(0x21, 0, count: 0))
    try rig.client.ask(8, Client.interrupts(0x11, 0))
    #expect(rig.pin.drain() == 0)
    // A trial, and one with the truth of a byte.
    try rig.client.ask(8, Client.interrupts(0x09, 0))
    #expect(try rig.client.readRegion(0, 0x1000, count: 1) == [1])
    try rig.client.ask(8, Client.interrupts(0x24, 0), descriptors: [rig.pin.rawValue])
    try rig.client.ask(8, Client.interrupts(0x22, 0, data: [0]))
    #expect(rig.pin.drain() == 0)
    try rig.client.ask(8, Client.interrupts(0x22, 0, data: [1]))
    #expect(rig.pin.drain() == 1)
  }

  @Test func vectorsAreSignalledAndThePinIsNot() throws {
    let rig = try VfioUserDiskRig()
    let queue = try rig.start(without: .eventIndex, vector: 1)
    try rig.client.ask(8, Client.interrupts(0x24, 0), descriptors: [rig.pin.rawValue])

    #expect(try rig.readsSector(1, queue))
    #expect(waitUntil { rig.vectors[1].drain() > 0 })
    #expect(rig.vectors[0].drain() == 0)
    // Taken away for a while, as QEMU does with those that it masks.
    try rig.client.ask(8, Client.interrupts(0x24, 2, start: 1))
    #expect(try rig.readsSector(2, queue))
    #expect(rig.vectors[1].drain() == 0)
    try rig.client.ask(
      8,
      Client.interrupts(0x24, 2, start: 1),
      descriptors: [rig.vectors[1].rawValue]
    )
    #expect(waitUntil { rig.vectors[1].drain() > 0 })
    #expect(rig.pin.drain() == 0)
    // All, and a trial.
    try rig.client.ask(8, Client.interrupts(0x22, 2, count: 2, data: [1, 0]))
    #expect(rig.vectors[0].drain() == 1)
    try rig.client.ask(8, Client.interrupts(0x21, 2, count: 0))
    #expect(try rig.readsSector(3, queue))
    #expect(rig.vectors[1].drain() == 0)
  }

  @Test func queuesAreKickedByEventfdOrBySeveralWritesAtOnce() throws {
    let rig = try VfioUserDiskRig()
    let queue = try rig.start()
    var message = try rig.client.exchange(
      6,
      Client.words(UInt32(56), UInt32(0), UInt32(0), UInt32(0))
    )
    #expect(message.descriptors.count == 1)
    guard let descriptor = message.descriptors.takeFirst() else { return }
    let kick = EventFD(adopting: descriptor)
    #expect(Client.word(message.payload, at: 12, as: UInt32.self) == 1)
    #expect(
      Client.word(message.payload, at: 16, as: UInt64.self) == PCIDriverTransport.notification
    )
    // Without room, only how much it takes is said.
    let short = try rig.client.exchange(
      6,
      Client.words(UInt32(16), UInt32(0), UInt32(0), UInt32(0))
    )
    #expect(short.descriptors.count == 0)
    #expect(short.payload == Client.words(UInt32(56), UInt32(0), UInt32(0), UInt32(1)))

    let (buffers, data) = try rig.readRequest(5)
    try queue.add(buffers)
    kick.signal()
    _ = try rig.driver.waitForUsed(queue)
    #expect(try rig.hasSector(5, at: data))

    let (more, place) = try rig.readRequest(6)
    try queue.add(more)
    let write = Client.words(PCIDriverTransport.notification, UInt32(0), UInt32(2), UInt64(0))
    #expect(
      try rig.client.ask(15, Client.words(UInt64(2)) + write + write) == Client.words(UInt64(2))
    )
    _ = try rig.driver.waitForUsed(queue)
    #expect(try rig.hasSector(6, at: place))
  }

  @Test func memoryComesAndGoesUnderADiskAtWork() throws {
    let rig = try VfioUserDiskRig()
    let queue = try rig.start()
    let regions = rig.memory.regions

    for round in 0..<30 {
      var wanted: [UInt32: (sector: UInt64, data: GuestAddress)] = [:]
      for index in 0..<6 {
        let sector = UInt64((round * 6 + index) % 64)
        let (buffers, data) = try rig.readRequest(sector)
        wanted[UInt32(try queue.add(buffers))] = (sector, data)
        try rig.driver.kick(0, queue)
        // The queue's own memory every other time.
        let region = regions[(round + index) % 2]
        try rig.unmap(region)
        try rig.map(region)
      }
      while !wanted.isEmpty {
        let used = try rig.driver.waitForUsed(queue)
        let found = wanted.removeValue(forKey: used.head)
        let done = try #require(found)
        #expect(try rig.hasSector(done.sector, at: done.data))
      }
    }
    #expect(rig.rig.log.notices == [])
  }

  @Test func mappingsAreRefusedWithTheirErrorAndTheConnectionGoesOn() throws {
    let rig = try VfioUserDiskRig()
    let queue = try rig.start()
    let file = rig.memory.file.borrow { $0.rawValue } ?? -1

    #expect(throws: Client.Failure.refused(17)) {
      try rig.client.ask(2, Client.mapping(0x1000, 0x1000), descriptors: [file])
    }
    #expect(throws: Client.Failure.refused(22)) {
      try rig.client.ask(2, Client.mapping(1 << 40, 1 << 40), descriptors: [file])
    }
    #expect(throws: Client.Failure.refused(2)) {
      try rig.client.ask(3, Client.unmapping(1 << 40, 0x1000))
    }
    #expect(throws: Client.Failure.refused(22)) {
      try rig.client.ask(3, Client.unmapping(0, 0x1000))
    }
    #expect(throws: Client.Failure.refused(22)) {
      try rig.client.ask(3, Client.unmapping(0, 0, flags: 1))
    }
    // What QEMU does with ROMs.
    try rig.client.ask(2, Client.mapping(0xFFFC_0000, 0x40000, flags: 1))
    #expect(try rig.readsSector(1, queue))
    try rig.client.ask(3, Client.unmapping(0, 0, flags: 2))
    try rig.mapMemory()
    #expect(try rig.readsSector(2, queue))
  }

  @Test func theDeviceIsDescribed() throws {
    let rig = try VfioUserDiskRig()
    let text = try rig.client.greet()
    #expect(text.contains(#""max_data_xfer_size":1048576"#))
    #expect(text.contains(#""write_multiple":true"#))
    #expect(text.contains(#""max_msg_fds":16"#), "QEMU takes no more")
    #expect(!text.contains("twin"))

    #expect(
      try rig.client.ask(4, Client.words(UInt32(16), UInt32(0), UInt32(0), UInt32(0)))
        == Client.words(UInt32(16), UInt32(3), UInt32(9), UInt32(5))
    )
    func region(_ index: UInt32) throws -> (flags: UInt32, size: UInt64) {
      let payload = try rig.client.ask(
        5,
        Client.words(UInt32(32), UInt32(0), index, UInt32(0), UInt64(0), UInt64(0))
      )
      return (
        Client.word(payload, at: 4, as: UInt32.self), Client.word(payload, at: 16, as: UInt64.self)
      )
    }
    #expect(try region(0) == (3, 0x8000))
    #expect(try region(1) == (0, 0))
    #expect(try region(6) == (0, 0))
    #expect(try region(7) == (3, 0x100))
    #expect(throws: Client.Failure.refused(22)) { try region(9) }
    func interrupts(_ index: UInt32) throws -> [UInt8] {
      try rig.client.ask(7, Client.words(UInt32(16), UInt32(0), index, UInt32(0)))
    }
    #expect(try interrupts(0) == Client.words(UInt32(16), UInt32(7), UInt32(0), UInt32(1)))
    #expect(try interrupts(1) == Client.words(UInt32(16), UInt32(1), UInt32(1), UInt32(0)))
    #expect(try interrupts(2) == Client.words(UInt32(16), UInt32(1), UInt32(2), UInt32(2)))
    #expect(throws: Client.Failure.refused(22)) { try interrupts(5) }
    #expect(try rig.client.readRegion(7, 0, count: 256).prefix(4) == [0xF4, 0x1A, 0x42, 0x10])
    #expect(try rig.client.readRegion(7, 3, count: 3) == [0x10, 0, 0])
    #expect(try rig.client.readRegion(0, 0x2000, count: 7) == [64, 0, 0, 0, 0, 0, 0])
    #expect(throws: Client.Failure.refused(25)) {
      try rig.client.ask(16, Client.words(UInt32(8), UInt32(1 << 18 | 6)))
    }
    #expect(throws: Client.Failure.refused(95)) {
      try rig.client.ask(14, [])
    }
  }

  @Test func aResetLeavesMemoryAndInterruptsAndNothingElse() throws {
    let rig = try VfioUserDiskRig()
    let queue = try rig.start()
    #expect(try rig.readsSector(1, queue))

    #expect(try rig.client.ask(13) == [])

    #expect(rig.transport.status == 0)
    try rig.client.ask(8, Client.interrupts(0x24, 0), descriptors: [rig.pin.rawValue])
    try rig.driver.negotiate(without: .eventIndex)
    let fresh = try rig.driver.makeQueue(0)
    rig.driver.start()
    #expect(try rig.readsSector(2, fresh))
    #expect(waitUntil { rig.pin.drain() > 0 })
  }

  @Test func aClientThatDiesInTheMiddleLeavesNothingAndTheNextIsServed() throws {
    let rig = try VfioUserDiskRig()
    for round in 0..<10 {
      let queue = try rig.start()
      #expect(try rig.readsSector(UInt64(round), queue))
      for sector in 0..<8 {
        let (buffers, _) = try rig.readRequest(UInt64(sector))
        try queue.add(buffers)
      }
      rig.transport.notify(0)
      try rig.rig.reconnect()
    }
    let queue = try rig.start()
    #expect(try rig.readsSector(6, queue))
    #expect(rig.rig.log.notices == [])
  }

  @Test func aMemoryFileThatIsCutShortEndsTheConnection() throws {
    let rig = try VfioUserDiskRig()
    let queue = try rig.start()
    let file = try MemoryFile(count: 0x1000)
    try rig.client.ask(
      2,
      Client.mapping(1 << 40, 0x1000),
      descriptors: [file.descriptor.rawValue]
    )
    try file.truncate(to: 0)

    let (buffers, _) = try rig.readRequest(1)
    try queue.add([.readable(1 << 40, 16), buffers[1], buffers[2]])
    rig.transport.notify(0)

    try rig.client.waitForEnd()
    #expect(rig.rig.waitForLine("cut short while it was in use"))
    try rig.rig.reconnect()
    let next = try rig.start()
    #expect(try rig.readsSector(2, next))
  }
}
