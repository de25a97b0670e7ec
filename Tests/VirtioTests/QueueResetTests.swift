import GuestMemory
import TestSupport
import Testing
import Virtio

/// The reset of one queue while the device runs (virtio 1.2, 2.6.1).
@Suite(.timeLimit(.minutes(5))) struct QueueResetTests {
  private static let request: [MockBuffer] = [.readable(0x100000, 4), .writable(0x200000, 8)]

  @Test(arguments: RingKind.allCases, [false, true])
  func aQueueBeginsAnewElsewhereWhileTheOtherGoesOn(ring: RingKind, areApart: Bool) throws {
    let groups = areApart ? [[0], [1]] : [[0, 1]]
    let rig = try DeviceRig(EchoDevice(queueSizes: [64, 64], groups: groups))
    try rig.driver.negotiate(without: ring.isPacked ? [] : .packedRing)
    var first = try rig.driver.makeQueue(0)
    let second = try rig.driver.makeQueue(1)
    rig.driver.start()

    for _ in 0..<20 {
      try rig.driver.request(0, first, Self.request)
      try second.add(Self.request)
      try rig.driver.kick(1, second)
      #expect(rig.transport.resetQueue(0))
      #expect(rig.transport.maximumSize(of: 0) == 64)
      #expect(rig.controller.queueAddress(.descriptors) == 0)
      first = try rig.driver.makeQueue(0, size: 16)
      #expect(try rig.driver.waitForUsed(second).written == 4)
    }

    #expect(try rig.driver.request(0, first, Self.request) == 4)
    #expect(rig.log.lines == [])
  }

  @Test(arguments: RingKind.allCases)
  func nothingOfAResetQueueMoves(ring: RingKind) throws {
    let rig = try DeviceRig(EchoDevice(queueSizes: [64, 64]))
    try rig.driver.negotiate(without: ring.isPacked ? [] : .packedRing)
    var first = try rig.driver.makeQueue(0)
    let second = try rig.driver.makeQueue(1)
    rig.driver.start()
    for round in 0..<100 {
      for _ in 0..<20 {
        try first.add(Self.request)
        try rig.driver.kick(0, first)
      }
      if round % 2 == 0 { _ = try rig.driver.waitForUsed(first) }
      #expect(rig.transport.resetQueue(0))
      let (index, count) = (try first.usedIndex(), rig.interrupts.count(of: 0))
      rig.transport.notify(0)
      // The worker has been everywhere once it has answered on the other queue.
      try rig.driver.request(1, second, Self.request)
      #expect(try first.usedIndex() == index)
      #expect(rig.interrupts.count(of: 0) == count)
      try rig.memory.zero(first.descriptorTable, count: MockQueue.byteCount(64))
      first = try MockQueue(
        in: rig.memory,
        at: first.descriptorTable,
        size: 64,
        eventIndex: true,
        isPacked: ring.isPacked
      )
      #expect(rig.transport.enableQueue(0, first))
    }
    #expect(rig.log.lines == [])
  }

  @Test func aQueueMayComeOnlyOnceTheDeviceRuns() throws {
    let rig = try DeviceRig(EchoDevice(queueSizes: [16, 16], groups: [[0], [1]]))
    try rig.driver.negotiate()
    _ = try rig.driver.makeQueue(0)
    rig.driver.start()
    let late = try rig.driver.makeQueue(1)
    #expect(try rig.driver.request(1, late, Self.request) == 4)
  }

  @Test func withoutTheFeatureNothingIsReset() throws {
    let rig = try DeviceRig(EchoDevice())
    try rig.driver.negotiate(without: .ringReset)
    let queue = try rig.driver.makeQueue(0)
    rig.driver.start()
    #expect(!rig.transport.resetQueue(0))
    #expect(try rig.driver.request(0, queue, Self.request) == 4)
    #expect(
      rig.log.lines == ["warning: echo: driver resets queue 0 without VIRTIO_F_RING_RESET: ignored"]
    )
  }

  @Test func aQueueThatComesBackInTheWrongPlaceBreaksTheDevice() throws {
    let rig = try DeviceRig(EchoDevice(queueSizes: [16]), memoryCount: 1 << 20)
    try rig.driver.negotiate(without: .packedRing)
    let queue = try rig.driver.makeQueue(0)
    rig.driver.start()
    try rig.driver.request(0, queue, [.readable(0x9000, 4), .writable(0xA000, 8)])
    #expect(rig.transport.resetQueue(0))
    rig.controller.setQueueAddress(.descriptors, to: 0x10_0000)
    rig.controller.enableQueue()
    #expect(!rig.controller.isQueueEnabled)
    #expect(rig.transport.status & 64 != 0)
    #expect(rig.interrupts.changes == 1)
  }

  @Test func numbersOfNoQueueAreHarmless() throws {
    let rig = try DeviceRig(EchoDevice())
    try rig.driver.negotiate()
    let queue = try rig.driver.makeQueue(0)
    rig.driver.start()
    #expect(rig.transport.resetQueue(7))
    #expect(try rig.driver.request(0, queue, Self.request) == 4)
  }

  @Test func queuesAreResetWhileTheDeviceIs() throws {
    let rig = try DeviceRig(EchoDevice(queueSizes: [16, 16]))
    try withBackground({
      rig.controller.queueSelect = 0
      rig.controller.resetQueue()
      rig.controller.enableQueue()
    }) {
      for _ in 0..<300 {
        try? rig.driver.negotiate()
        let queue = try rig.driver.allocate(0)
        rig.controller.setQueueAddress(.descriptors, to: queue.rawValue)
        rig.driver.start()
        rig.transport.status = 0
      }
    }
    rig.transport.status = 0
    #expect(rig.transport.status == 0)
  }
}
