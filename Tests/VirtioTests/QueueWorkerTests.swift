import GuestMemory
import HostOS
import TestSupport
import Testing
import Virtio

@Suite(.timeLimit(.minutes(5))) struct QueueWorkerTests {
  @Test(
    arguments: [
      [], .eventIndex, .packedRing, [.packedRing, .eventIndex], .indirectDescriptors,
    ] as [VirtioFeatures]
  )
  func everyKickIsHeard(without: VirtioFeatures) throws {
    let rig = try DeviceRig(EchoDevice())
    try rig.driver.negotiate(without: without)
    let queue = try rig.driver.makeQueue(0)
    rig.driver.start()
    // One at a time, so that each finds the worker between two states.
    for round in 0..<2000 {
      try rig.memory.store32(UInt32(round), at: GuestAddress(0x100000))
      let written = try rig.driver.request(
        0,
        queue,
        [.readable(0x100000, 4), .writable(0x200000, 8)]
      )
      #expect(written == 4)
      #expect(try rig.memory.load32(at: GuestAddress(0x200000)) == UInt32(round))
    }
    #expect(rig.interrupts.count(of: 0) > 0)
    #expect(rig.log.lines == [])
  }

  @Test func chainsOfferedBeforeTheStartAreServed() throws {
    let rig = try DeviceRig(EchoDevice())
    try rig.driver.negotiate()
    let queue = try rig.driver.makeQueue(0)
    try queue.add([.readable(0x100000, 4), .writable(0x200000, 8)])
    rig.driver.start()
    #expect(try rig.driver.waitForUsed(queue).written == 4)
  }

  @Test func queuesAreServedSideBySide() throws {
    let rig = try DeviceRig(EchoDevice(queueSizes: [16, 16, 16]))
    try rig.driver.negotiate()
    let queues = try (0..<3).map { try rig.driver.makeQueue(UInt16($0)) }
    rig.driver.start()
    for _ in 0..<200 {
      for (index, queue) in queues.enumerated() {
        try queue.add([.readable(0x100000, 4), .writable(0x200000, 8)])
        try rig.driver.kick(UInt16(index), queue)
      }
      for queue in queues { _ = try rig.driver.waitForUsed(queue) }
    }
    #expect((0..<3).allSatisfy { rig.interrupts.count(of: $0) > 0 })
  }

  @Test func suppressedInterruptsStayAway() throws {
    let rig = try DeviceRig(EchoDevice())
    try rig.driver.negotiate(without: .eventIndex)
    let queue = try rig.driver.makeQueue(0)
    try queue.suppressInterrupts(true)
    rig.driver.start()
    for _ in 0..<50 {
      try rig.driver.request(0, queue, [.readable(0x100000, 4), .writable(0x200000, 8)])
    }
    rig.transport.status = 0
    #expect(rig.interrupts.count(of: 0) == 0)
  }

  @Test(arguments: HostileCase.all)
  func aHostileDriverNeedsAReset(hostile: HostileCase) throws {
    let rig = try DeviceRig(EchoDevice(queueSizes: [8]), memoryCount: QueueRig.hole)
    try rig.driver.negotiate(without: hostile.ring.isPacked ? [] : .packedRing)
    let queue = try rig.driver.makeQueue(0)
    rig.driver.start()
    try hostile.prepare(queue)
    rig.transport.notify(0)
    try rig.driver.wait { rig.transport.status & 64 != 0 }
    try rig.driver.wait { rig.interrupts.changes == 1 }
    #expect(rig.log.lines == ["warning: echo: needs a reset: queue 0: \(hostile.expected)"])
    // A driver that knows better is welcome.
    try rig.driver.negotiate()
    let again = try rig.driver.makeQueue(0)
    rig.driver.start()
    try rig.driver.request(0, again, [.readable(0x9000, 4), .writable(0xA000, 8)])
  }

  @Test func aDriverThatRingsForEverCannotHoldUpAReset() throws {
    let rig = try DeviceRig(EchoDevice(queueSizes: [64, 64]))
    try rig.driver.negotiate(without: [.eventIndex, .packedRing])
    let queue = try rig.driver.makeQueue(0)
    _ = try rig.driver.makeQueue(1)
    try queue.store(MockDescriptor(0x100000, 4), at: 0)
    rig.driver.start()
    try withBackground({
      // Always something new, and always a kick.
      let index = (try? queue.usedIndex()) ?? 0
      try? queue.setAvailableIndex(index &+ 32)
      rig.controller.notify(0)
      rig.controller.notify(1)
    }) {
      try rig.driver.wait { try queue.usedIndex() > 1000 }
      let start = ContinuousClock.now
      rig.transport.status = 0
      #expect(ContinuousClock.now - start < .seconds(5))
    }
    #expect(rig.transport.status == 0)
  }

  @Test(arguments: RingKind.allCases)
  func resetsDuringTrafficAreClean(ring: RingKind) throws {
    let rig = try DeviceRig(EchoDevice())
    for round in 0..<100 {
      try rig.driver.negotiate(without: ring.isPacked ? [] : .packedRing)
      let base = GuestAddress(0x300000)
      try rig.memory.zero(base, count: MockQueue.byteCount(64))
      let queue = try MockQueue(
        in: rig.memory,
        at: base,
        size: 64,
        eventIndex: true,
        isPacked: ring.isPacked
      )
      #expect(rig.transport.enableQueue(0, queue))
      rig.driver.start()
      for _ in 0..<20 {
        try queue.add([.readable(0x100000, 64), .writable(0x200000, 64)])
        try rig.driver.kick(0, queue)
      }
      if round % 2 == 0 { _ = try rig.driver.waitForUsed(queue) }
      rig.transport.status = 0
      // Nothing moves any more.
      let index = try queue.usedIndex()
      let count = rig.interrupts.count(of: 0)
      rig.controller.notify(0)
      #expect(try queue.usedIndex() == index)
      #expect(rig.interrupts.count(of: 0) == count)
    }
    #expect(rig.log.lines == [])
  }

  @Test func registersAnswerFromOtherProcessorsDuringResets() throws {
    let rig = try DeviceRig(EchoDevice())
    try withBackground({
      _ = rig.controller.status
      rig.controller.queueSelect = 0
      rig.controller.queueSize = 8
      rig.controller.enableQueue()
      rig.controller.writeStatus(15)
      rig.controller.notify(0)
      rig.controller.writeStatus(0)
    }) {
      for _ in 0..<300 {
        try? rig.driver.negotiate()
        rig.driver.start()
        rig.transport.status = 0
      }
    }
    rig.transport.status = 0
    #expect(rig.transport.status == 0)
  }

  @Test(arguments: RingKind.allCases)
  func aStoppedWorkerLeavesNoRequestBehindAndDoesNoneTwice(ring: RingKind) throws {
    let memory = try GuestMemory(count: 4 << 20)
    let driver = try MockQueue(
      in: memory,
      at: GuestAddress(0x1000),
      size: 64,
      isPacked: ring.isPacked
    )
    let signals = VirtioSignals(
      "echo",
      interrupts: RecordingInterrupts(),
      logger: RecordedLog().makeLogger()
    )
    var configuration = VirtqueueConfiguration(
      index: 0,
      size: 64,
      descriptorTable: driver.descriptorTable,
      availableRing: driver.availableRing,
      usedRing: driver.usedRing,
      features: ring.isPacked ? [.version1, .packedRing] : .version1,
      kick: try EventFD()
    )
    var heads: [UInt32] = []
    var returned: [UInt32] = []
    for round in 0..<200 {
      let activation = VirtioActivation(
        features: .version1,
        memory: memory,
        queues: [configuration],
        signals: signals
      )
      let worker = try QueueWorker("echo", serving: [configuration], of: activation) {
        EchoService(memory)
      }
      while driver.freeCount >= 2 {
        heads.append(UInt32(try driver.add([.readable(0x100000, 4), .writable(0x200000, 4)])))
        configuration.kick.signal()
      }
      // Once, the worker gets as far as a request, however busy the host is.
      if round == 0 { #expect(try waitUntil { try driver.usedIndex() > 0 }) }
      configuration.state = worker.stop()[0]
      #expect(configuration.state.available == configuration.state.used)
      while let used = try driver.takeUsed() { returned.append(used.head) }
    }
    #expect(Array(heads.prefix(returned.count)) == returned)
    #expect(heads.count - returned.count <= 32)
    #expect(returned.count > 0)
  }
}
