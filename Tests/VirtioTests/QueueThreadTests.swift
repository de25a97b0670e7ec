import GuestMemory
import HostOS
import Synchronization
import TestSupport
import Testing
import Virtio

/// One thread under several devices, work that goes on elsewhere, and polling.
@Suite(.timeLimit(.minutes(5))) struct QueueThreadTests {
  private static let request: [MockBuffer] = [.readable(0x100000, 4), .writable(0x200000, 8)]

  @Test func severalDevicesShareAThread() throws {
    let thread = try QueueThread("shared")
    let rigs = try (0..<3).map { _ in
      try DeviceRig(EchoDevice(queueSizes: [16, 16], groups: [[0], [1]], threads: [thread]))
    }
    for rig in rigs { try rig.driver.negotiate() }
    let queues = try rigs.map { rig in try [rig.driver.makeQueue(0), rig.driver.makeQueue(1)] }
    for rig in rigs { rig.driver.start() }
    for _ in 0..<100 {
      for (rig, pair) in zip(rigs, queues) {
        for (index, queue) in pair.enumerated() {
          try queue.add(Self.request)
          try rig.driver.kick(UInt16(index), queue)
        }
      }
      for (rig, pair) in zip(rigs, queues) {
        for queue in pair { #expect(try rig.driver.waitForUsed(queue).written == 4) }
      }
    }
    rigs[1].transport.status = 0
    #expect(try rigs[2].driver.request(1, queues[2][1], Self.request) == 4)
    #expect(rigs.allSatisfy { $0.log.lines == [] })
  }

  @Test func aHostileDriverHurtsNobodyElseOnItsThread() throws {
    let thread = try QueueThread("shared")
    let bad = try DeviceRig(EchoDevice(threads: [thread]))
    let good = try DeviceRig(EchoDevice(threads: [thread]))
    try bad.driver.negotiate(without: .packedRing)
    try good.driver.negotiate()
    let badQueue = try bad.driver.makeQueue(0)
    let goodQueue = try good.driver.makeQueue(0)
    bad.driver.start()
    good.driver.start()
    try badQueue.setAvailableIndex(1000)
    bad.transport.notify(0)
    try bad.driver.wait { bad.transport.status & 64 != 0 }
    #expect(try good.driver.request(0, goodQueue, Self.request) == 4)
    bad.transport.status = 0
    try bad.driver.negotiate()
    let again = try bad.driver.makeQueue(0)
    bad.driver.start()
    #expect(try bad.driver.request(0, again, Self.request) == 4)
    #expect(good.log.lines == [])
  }

  @Test func aQueueThatIsNeverEmptyLetsTheOthersIn() throws {
    let thread = try QueueThread("shared")
    let busy = try DeviceRig(EchoDevice(threads: [thread]))
    let other = try DeviceRig(EchoDevice(threads: [thread]))
    try busy.driver.negotiate(without: [.eventIndex, .packedRing])
    try other.driver.negotiate()
    let endless = try busy.driver.makeQueue(0)
    let queue = try other.driver.makeQueue(0)
    try endless.store(MockDescriptor(0x100000, 4), at: 0)
    busy.driver.start()
    other.driver.start()
    try withBackground({
      let index = (try? endless.usedIndex()) ?? 0
      try? endless.setAvailableIndex(index &+ 32)
      busy.controller.notify(0)
    }) {
      try busy.driver.wait { try endless.usedIndex() > 100 }
      for _ in 0..<100 {
        #expect(try other.driver.request(0, queue, Self.request) == 4)
      }
      other.transport.status = 0
    }
  }

  @Test(arguments: [QueuePolling.off, QueuePolling(limit: 1_000_000)])
  func workThatEndsElsewhereIsNoticedWithoutAKick(polling: QueuePolling) throws {
    let rig = try DeferredRig(polling)
    for round in 0..<500 {
      try rig.offer(round % 7 + 1)
      for _ in 0..<(round % 7 + 1) { #expect(try rig.take() == 4) }
    }
  }

  @Test(arguments: [QueuePolling.off, QueuePolling(limit: 1_000_000)])
  func aQueueThatWaitsIsServedBesideOneThatIsNeverIdleForLong(polling: QueuePolling) throws {
    let thread = try QueueThread("shared", polling: polling)
    let busy = try DeviceRig(EchoDevice(threads: [thread]))
    try busy.driver.negotiate()
    let queue = try busy.driver.makeQueue(0)
    busy.driver.start()
    let gate = try EventFD()
    let rig = try DeferredRig(on: thread, gate: gate)
    try rig.offer(3)
    #expect(try rig.take() == 4)
    #expect(try rig.take() == 4)
    try withBackground({
      _ = try? busy.driver.request(0, queue, Self.request)
    }) {
      gate.signal()
      let written = try rig.take()
      #expect(written == 4)
    }
    busy.transport.status = 0
  }

  @Test func whatIsUnderWayEndsBeforeTheWorkerStops() throws {
    for _ in 0..<200 {
      let rig = try DeferredRig(.off)
      try rig.offer(12)
      _ = try rig.take()
      let state = rig.worker.stop()[0]
      // As many were given back as were taken.
      #expect(state.available == state.used)
      #expect(try rig.driver.usedIndex() == state.used)
      #expect(rig.pending == 0)
    }
  }

  @Test func aThreadThatPollsAsksForNoKicks() throws {
    let thread = try QueueThread("polling", polling: QueuePolling(limit: 50_000_000))
    let rig = try DeviceRig(EchoDevice(threads: [thread]))
    try rig.driver.negotiate()
    let queue = try rig.driver.makeQueue(0)
    rig.driver.start()
    // The first sleeps teach it that requests follow closely.
    #expect(
      try waitUntil {
        try queue.add(Self.request)
        let isKickWanted = try queue.needsKick()
        if isKickWanted { rig.transport.notify(0) }
        _ = try rig.driver.waitForUsed(queue)
        return !isKickWanted
      }
    )
  }
}

/// A queue whose requests a thread elsewhere ends, some time after they were taken.
private final class DeferredRig {
  let memory: GuestMemory
  let driver: MockQueue
  let kick: EventFD
  let worker: QueueWorker
  private let helper: Helper

  convenience init(_ polling: QueuePolling) throws {
    try self.init(on: QueueThread("deferred", polling: polling))
  }

  /// With a gate, only two requests are taken before it opens.
  init(on thread: QueueThread, gate: EventFD? = nil) throws {
    memory = try GuestMemory(count: 4 << 20)
    driver = try MockQueue(in: memory, at: GuestAddress(0x1000), size: 64)
    kick = try EventFD()
    let helper = try Helper()
    self.helper = helper
    let queue = VirtqueueConfiguration(
      index: 0,
      size: 64,
      descriptorTable: driver.descriptorTable,
      availableRing: driver.availableRing,
      usedRing: driver.usedRing,
      features: .version1,
      kick: kick
    )
    let activation = VirtioActivation(
      features: .version1,
      memory: memory,
      queues: [queue],
      signals: VirtioSignals(
        "deferred",
        interrupts: RecordingInterrupts(),
        logger: RecordedLog().makeLogger()
      )
    )
    let memory = memory
    worker = try QueueWorker(
      on: thread,
      serving: [queue],
      of: activation
    ) {
      DeferredService(helper, memory, gate)
    }
  }

  var pending: Int { helper.state.withLock { $0.taken - $0.given } }

  func offer(_ count: Int) throws {
    for _ in 0..<count { try driver.add([.readable(0x100000, 4), .writable(0x200000, 4)]) }
    if try driver.needsKick() { kick.signal() }
  }

  func take() throws -> UInt32? {
    var used: (head: UInt32, written: UInt32)?
    _ = try waitUntil {
      used = try driver.takeUsed()
      return used != nil
    }
    return used?.written
  }

  /// Ends one request after the other, as a disk would.
  final class Helper: Sendable {
    struct State {
      var queue: [ChainTicket] = []
      var done: [ChainTicket] = []
      var taken = 0
      var given = 0
      var isEnded = false
    }

    let state = Mutex(State())
    let submitted: EventFD
    let completed: EventFD

    init() throws {
      submitted = try EventFD()
      completed = try EventFD()
    }

    func run() {
      while true {
        submitted.wait()
        submitted.drain()
        let isEnded = state.withLock { state in
          state.done += state.queue
          state.queue = []
          return state.isEnded
        }
        completed.signal()
        if isEnded { return }
      }
    }

    func end() {
      state.withLock { $0.isEnded = true }
      submitted.signal()
    }
  }
}

extension DeferredRig {
  private final class DeferredService: QueueService {
    private let helper: Helper
    private let thread: Thread?
    private let gate: EventFD?
    private var isOpen = false
    private var chain: DescriptorChain

    init(_ helper: Helper, _ memory: GuestMemory, _ gate: EventFD?) {
      self.gate = gate
      self.helper = helper
      thread = try? Thread("elsewhere") { helper.run() }
      chain = DescriptorChain(in: memory)
    }

    deinit { helper.end() }

    var completions: Int32? { helper.completed.rawValue }
    var hasCompletions: Bool { helper.state.withLock { !$0.done.isEmpty } }

    func serve(_ queue: inout Virtqueue) throws(VirtqueueError) -> QueueOutcome {
      reap(&queue)
      for _ in 0..<4 {
        if let gate, !isOpen, helper.state.withLock({ $0.taken }) == 2 {
          isOpen = gate.drain() > 0
          if !isOpen { return .blocked(on: gate.rawValue, for: .readable) }
        }
        // No more than four under way at once.
        guard helper.state.withLock({ $0.taken - $0.given }) < 4 else { return .waiting }
        guard try queue.pop(into: &chain) else { return .drained }
        let ticket = chain.ticket
        helper.state.withLock { state in
          state.taken += 1
          state.queue.append(ticket)
        }
        helper.submitted.signal()
      }
      return .busy
    }

    func finish(_ queue: inout Virtqueue) {
      while helper.state.withLock({ $0.taken > $0.given }) {
        helper.completed.wait()
        reap(&queue)
      }
    }

    private func reap(_ queue: inout Virtqueue) {
      helper.completed.drain()
      let done = helper.state.withLock { state in
        defer { state.done = [] }
        state.given += state.done.count
        return state.done
      }
      for ticket in done { queue.complete(ticket, written: 4) }
    }
  }
}
