import GuestMemory
import TestSupport
import Testing
import Virtio

/// Devices that are killed at each single store to a ring and its in-flight region.
@Suite(
  .serialized,
  .timeLimit(.minutes(10)),
  .enabled(
    if: Stepping.isPossible,
    "not one instruction at a time: another processor, or a sanitizer"
  )
)
struct InflightStepTests {
  @Test(arguments: 0..<2, RingKind.allCases)
  func whereverADeviceDiesEachChainIsDoneOnceAndABatchIsSeenAsOne(
    seed: Int,
    ring: RingKind
  ) throws {
    var random = Generator(state: UInt64(seed) &* 77 &+ 5)
    let world = try World(ring, &random)
    let scene = try world.play(&random)
    #expect(scene.states.count > 1)
    for (number, state) in scene.states.enumerated() {
      for isDriverFirst in [false, true] {
        var random = Generator(state: UInt64(number))
        let failure = try world.recover(
          state,
          of: scene,
          isDriverFirst: isDriverFirst,
          &random
        )
        try #require(failure == nil, "\(failure ?? "") at \(number), \(isDriverFirst)")
      }
    }
  }

  @Test(arguments: 0..<1, RingKind.allCases)
  func whoeverTakesOverMayDieAtThatToo(seed: Int, ring: RingKind) throws {
    var random = Generator(state: UInt64(seed) &* 77 &+ 6)
    let world = try World(ring, &random)
    let scene = try world.play(&random)
    for (number, state) in scene.states.enumerated() where number % 8 == 0 {
      for (second, state) in try world.takeOver(state, of: scene).enumerated() {
        let failure = try world.recover(state, of: scene, isDriverFirst: second % 2 > 0, &random)
        try #require(failure == nil, "\(failure ?? "") at \(number), \(second)")
      }
    }
  }

  /// What one device did, up to its death.
  private struct Scene {
    /// The ring and the region before, and after each store.
    let states: [[UInt8]]
    /// The driver as it was at the beginning; it does nothing meanwhile.
    let driver: MockQueue
    /// The chains that are out, by what the device gives back.
    let waiting: [UInt16: UInt64]
    /// What was completed, batch after batch.
    let batches: [[UInt64]]
    /// The number of the next chain.
    let next: UInt64
  }

  private final class World {
    private let rig: QueueRig
    private let configuration: VirtqueueConfiguration
    private let ranges: [Stepping.Range]
    private var driver: MockQueue
    private var waiting: [UInt16: UInt64] = [:]
    private var next: UInt64 = 0

    init(_ ring: RingKind, _ random: inout Generator) throws {
      let size: UInt16 =
        ring.isPacked ? .random(in: 4...9, using: &random) : Bool.random(using: &random) ? 4 : 8
      rig = try QueueRig(ring, size: size, features: [.version1, .indirectDescriptors])
      driver = rig.driver
      let count = InflightRegion.byteCount(queueCount: 1, queueSize: size, isPacked: ring.isPacked)
      let memory = try GuestMemory(count: (count + 4095) & ~4095)
      var configuration = rig.configuration
      configuration.inflight = try #require(
        InflightRegion(memory, queueCount: 1, queueSize: size, isPacked: ring.isPacked)
      )
      self.configuration = configuration
      let ringStart = rig.driver.descriptorTable.rawValue
      let ringEnd = rig.driver.usedRing.rawValue + (ring.isPacked ? 4 : 6 + 8 * UInt64(size))
      ranges = [
        (
          rig.memory.unsafeHostAddress(of: rig.memory.regions[0]) + UInt(ringStart),
          Int(ringEnd - ringStart)
        ),
        (memory.unsafeHostAddress(of: memory.regions[0]), Int(count)),
      ]
    }

    private func offer(_ random: inout Generator) throws {
      let cuts = Int.random(in: 1...min(3, driver.freeCount), using: &random)
      let base = 0x21000 + 0x100 * (next % 64)
      try rig.memory.store64(next, at: GuestAddress(base))
      let more = (1..<3).map { MockBuffer.writable(base + 0x40 * UInt64($0), 8) }
      let id = try driver.add([.readable(base, 8)] + more[0..<cuts - 1])
      waiting[id] = next
      next += 1
    }

    private func takeUsed() throws -> UInt64? {
      guard let used = try driver.takeUsed() else { return nil }
      let number = waiting.removeValue(forKey: UInt16(used.head))
      return try #require(number)
    }

    private func takeNext(
      _ queue: inout Virtqueue,
      _ chain: inout DescriptorChain
    ) throws -> (ChainTicket, UInt64)? {
      guard try queue.pop(into: &chain) else { return nil }
      let word = chain.readWord(UInt64.self)
      return (chain.ticket, try #require(word))
    }

    /// Some traffic that shuffles the list of free entries, then two batches step by step.
    func play(_ random: inout Generator) throws -> Scene {
      var queue = try Virtqueue(configuration, in: rig.memory)
      var chain = rig.makeChain()
      var out: [(ChainTicket, UInt64)] = []
      for _ in 0..<Int.random(in: 0...40, using: &random) {
        if driver.freeCount > 0, Bool.random(using: &random) { try offer(&random) }
        if Bool.random(using: &random), let taken = try takeNext(&queue, &chain) {
          out.append(taken)
        }
        if !out.isEmpty, Bool.random(using: &random) {
          let (ticket, _) = out.remove(at: .random(in: 0..<out.count, using: &random))
          queue.complete(ticket, written: 0)
        }
        if Bool.random(using: &random) { queue.publish() }
        while Bool.random(using: &random), try takeUsed() != nil {}
      }
      queue.publish()
      while try takeUsed() != nil {}
      while driver.freeCount > 0 { try offer(&random) }
      if Bool.random(using: &random), let taken = try takeNext(&queue, &chain) { out.append(taken) }

      let driver = MockQueue(copying: driver)
      let steps = (0..<16).map { _ in Int.random(in: 0..<5, using: &random) }
      let places = (0..<16).map { _ in Int.random(in: 0..<1000, using: &random) }
      var batches: [[UInt64]] = []
      var batch: [UInt64] = []
      let states = try Stepping.states(of: ranges) {
        for (step, place) in zip(steps, places) {
          switch step {
          case 0, 1:
            if let taken = try takeNext(&queue, &chain) { out.append(taken) }
          case 2, 3:
            guard !out.isEmpty else { continue }
            let (ticket, number) = out.remove(at: place % out.count)
            queue.complete(ticket, written: 0)
            batch.append(number)
          default:
            if place % 3 == 0, try queue.pop(into: &chain) { queue.putBack() }
            guard batch.count > 1 else { continue }
            queue.publish()
            batches.append(batch)
            batch = []
          }
        }
        queue.publish()
        batches.append(batch)
      }
      return Scene(states: states, driver: driver, waiting: waiting, batches: batches, next: next)
    }

    /// A new device only just takes over from this state on; returns what it leaves, store by store.
    func takeOver(_ state: [UInt8], of scene: Scene) throws -> [[UInt8]] {
      Stepping.restore(state, to: ranges)
      return try Stepping.states(of: ranges) {
        _ = try Virtqueue(configuration, in: rig.memory)
      }
    }

    /// A new device takes over from this state on; returns what is wrong, if anything.
    func recover(
      _ state: [UInt8],
      of scene: Scene,
      isDriverFirst: Bool,
      _ random: inout Generator
    ) throws -> String? {
      Stepping.restore(state, to: ranges)
      driver = MockQueue(copying: scene.driver)
      waiting = scene.waiting
      next = scene.next
      var seen: [UInt64] = []
      if isDriverFirst {
        while let number = try takeUsed() { seen.append(number) }
        let prefixes = (0...scene.batches.count).map { Set(scene.batches[0..<$0].joined()) }
        guard prefixes.contains(Set(seen)) else {
          return "the driver sees \(seen) of batches \(scene.batches)"
        }
        while driver.freeCount > 0 { try offer(&random) }
      }
      var queue = try Virtqueue(configuration, in: rig.memory)
      var chain = rig.makeChain()
      var out: [(ChainTicket, UInt64)] = []
      var taken: Set<UInt64> = []
      for _ in 0..<400 {
        while let (ticket, number) = try takeNext(&queue, &chain) {
          guard taken.insert(number).inserted, !seen.contains(number) else {
            return "\(number) is done again"
          }
          out.append((ticket, number))
        }
        // One now and then, so that what stands behind it in the ring would be found.
        if !out.isEmpty {
          let (ticket, _) = out.remove(at: .random(in: 0..<out.count, using: &random))
          queue.complete(ticket, written: 0)
        }
        if Bool.random(using: &random) { queue.publish() }
        while let used = try driver.takeUsed() {
          guard let number = waiting.removeValue(forKey: UInt16(used.head)) else {
            return "\(used.head) came back twice"
          }
          guard !out.contains(where: { $0.1 == number }) else {
            return "\(number) came back before its time"
          }
          seen.append(number)
        }
        // Twice around with new chains, over all that the dead one left.
        if driver.freeCount > 0, seen.count < scene.waiting.count + 30 {
          try offer(&random)
        }
        if waiting.isEmpty { return nil }
      }
      return "\(waiting.values.sorted()) were lost"
    }
  }
}
