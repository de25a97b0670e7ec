import DeviceModel
import Interrupts
import Synchronization
import TestSupport
import Testing

/// A hostile guest, and many threads.
@Suite struct LocalAPICStormTests {
  private static let interesting: [UInt64] = [
    0, 1, 0xFF, 0x1FF, 0x11FF, 0x7FF, 0x2_0041, 0x4_0041, 0xC041, 0x700, 0x400, 0xC_4500,
    0xC_4608, 0x8_4105, 0xFFFF_FFFF, .max, 0xFEE0_0900, 0xFEE0_0D00, 0xFEE0_0100,
  ]

  private func step(_ bench: LocalAPICBench, _ generator: inout SeededNumbers) {
    let index = Int.random(in: 0..<bench.all.count, using: &generator)
    let apic = bench.all[index]
    let offset = UInt64.random(in: 0..<4096, using: &generator)
    let aligned = UInt64.random(in: 0...0x40, using: &generator) << 4
    let width = [1, 2, 4, 8].randomElement(using: &generator) ?? 4
    let noise = generator.next()
    let value = Bool.random(using: &generator) ? noise : Self.interesting[Int(noise % 19)]
    switch Int.random(in: 0..<14, using: &generator) {
    case 0: _ = bench.read(offset, index, width: width)
    case 1: bench.write(offset, value, index, width: width)
    case 2, 3: bench.write(aligned, value & 0xFFFF_FFFF, index)
    case 4: #expect(bench.read(aligned, index) <= 0xFFFF_FFFF)
    case 5: _ = try? apic.readMSR(0x800 + UInt32(offset & 0xFF))
    case 6: try? apic.writeMSR(0x800 + UInt32(offset & 0x3F), value)
    case 7: try? apic.writeBase(value)
    case 8:
      bench.all.deliver(
        InterruptMessage(
          address: 0xFEE0_0000 | noise & 0xF_FFFF,
          data: UInt32(truncatingIfNeeded: value)
        )
      )
    case 9: bench.clock.advance(nanoseconds: noise % 100_000)
    case 10: bench.setExternal(Bool.random(using: &generator) ? UInt8(noise & 0xFF) : nil)
    case 11:
      _ = apic.acknowledgeInterrupt()
      _ = apic.takeEvents()
    case 12:
      apic.tscDeadline = noise % 20_000_000_000
      apic.cr8 = noise
    default:
      bench.all.raiseNMI()
      if noise % 50 == 0 { apic.initialize() }
      if noise % 50 == 1 { apic.state = bench.all[Int(noise >> 8 & 1)].state }
    }
  }

  @Test(arguments: 0..<8)
  func nothingThatAGuestDoesTrapsOrSpins(seed: Int) {
    var options = LocalAPICOptions()
    options.hasCMCI = seed % 2 == 0
    let bench = LocalAPICBench(3, options: options)
    var generator = SeededNumbers(state: UInt64(seed))

    for round in 0..<20_000 {
      step(bench, &generator)
      for index in 0..<3 where round % 32 == 0 {
        let state = bench.all[index].state
        #expect(state.requested[0] & 0xFFFF == 0)
        #expect(state.inService[0] & 0xFFFF == 0)
      }
      #expect(bench.clock.armedCount <= 3)
    }
    for index in 0..<3 { bench.all[index].reset() }
    #expect(bench.clock.armedCount == 0)
  }

  /// Every vector has a sender that sends the next only once the one before has been taken, and a
  /// receiver that sleeps unless it is woken: an interrupt that is lost would stop them all.
  @Test func nothingIsLostBetweenThreads() throws {
    let processors = 3
    let rounds = 400
    let bench = LocalAPICBench(processors)
    let taken = (0..<256).map { _ in Tally() }
    let wakes = (0..<processors).map { _ in Wake() }
    for (index, wake) in wakes.enumerated() { bench.all[index].whenWoken { wake.signal() } }
    let finished = Tally()

    var receivers: [TestThread] = []
    for index in 0..<processors {
      let apic = bench.all[index]
      let wake = wakes[index]
      receivers.append(
        try TestThread {
          while finished.value == 0 {
            guard apic.hasWork else {
              wake.wait()
              continue
            }
            while let vector = apic.acknowledgeInterrupt() {
              taken[Int(vector)].add()
              apic.write(0, BusAccess(offset: 0xB0, width: 4))
            }
          }
        }
      )
    }
    var senders: [TestThread] = []
    for index in 0..<4 {
      senders.append(
        try TestThread {
          for round in 0..<rounds {
            let vector = 0x20 + index * 0x33
            let destination = UInt64((round + index) % processors)
            let level: UInt32 = round % 3 == 0 ? 0xC000 : 0
            bench.all.deliver(
              InterruptMessage(
                address: 0xFEE0_0000 | destination << 12,
                data: UInt32(vector) | level
              )
            )
            _ = waitUntil { taken[vector].value > round }
          }
        }
      )
    }
    for sender in senders { sender.join() }
    finished.add()
    for wake in wakes { wake.signal() }
    for receiver in receivers { receiver.join() }

    let counts = (0..<4).map { taken[0x20 + $0 * 0x33].value }
    #expect(counts == [rounds, rounds, rounds, rounds])
    #expect(bench.ends.vectors.count == 4 * ((rounds + 2) / 3))
    #expect((0..<processors).allSatisfy { !bench.all[$0].hasWork })
  }

  /// What sends without waiting coalesces, but adds up: each that was delivered was taken.
  @Test func whatIsDeliveredUnderContentionIsTaken() throws {
    let bench = LocalAPICBench(2)
    let delivered = Tally()
    var threads: [TestThread] = []
    for index in 0..<3 {
      threads.append(
        try TestThread {
          var generator = SeededNumbers(state: UInt64(index))
          for _ in 0..<3000 {
            let vector = UInt32.random(in: 0x20...0xFF, using: &generator)
            let mode: UInt32 = Bool.random(using: &generator) ? 0x100 : 0
            let to: UInt64 = mode == 0 ? UInt64(generator.next() & 1) : 0xFF
            let message = InterruptMessage(address: 0xFEE0_0000 | to << 12, data: vector | mode)
            if bench.all.deliver(message) == .delivered { delivered.add() }
          }
        }
      )
    }
    let taken = Tally()
    for index in 0..<2 {
      let apic = bench.all[index]
      threads.append(
        try TestThread {
          for round in 0..<3000 {
            // Processors that send to one another meanwhile.
            let vector = UInt64(0x20 + round % 0xC0)
            apic.write(0xC_4000 | vector, BusAccess(offset: 0x300, width: 4))
            while apic.acknowledgeInterrupt() != nil {
              taken.add()
              apic.write(0, BusAccess(offset: 0xB0, width: 4))
            }
          }
        }
      )
    }
    for thread in threads { thread.join() }
    for index in 0..<2 {
      while bench.all[index].acknowledgeInterrupt() != nil {
        taken.add()
        bench.write(0xB0, 0, index)
      }
    }

    let sum = (0..<2).reduce(0) { $0 + Int(bench.all[$1].counters.delivered) }
    #expect(taken.value == sum)
    #expect(delivered.value <= sum)
    #expect(delivered.value > 0)
  }

  /// The timer's own thread, and a processor that sets it anew all the time.
  @Test func theTimerIsSetAnewUnderContention() throws {
    let bench = LocalAPICBench()
    bench.write(0x3E0, 0xB)
    bench.write(0x320, 0x2_0041)
    let finished = Tally()
    let time = try TestThread {
      while finished.value == 0 { bench.clock.advance(nanoseconds: 7000) }
    }
    for round in UInt64(1)...2000 {
      bench.write(0x380, round * 10)
      while bench.apic.acknowledgeInterrupt() != nil { bench.write(0xB0, 0) }
    }
    finished.add()
    time.join()

    bench.write(0x380, 100_000)
    while bench.apic.acknowledgeInterrupt() != nil { bench.write(0xB0, 0) }
    bench.clock.advance(nanoseconds: 99_999)
    #expect(!bench.apic.hasInterrupt)
    bench.clock.advance(nanoseconds: 1)
    #expect(bench.apic.hasInterrupt)
  }

  /// A level that several threads change ends as the last of them left it.
  @Test func theExternalLevelIsTheLastOneUnderContention() throws {
    let bench = LocalAPICBench(2)
    bench.write(0x350, 0x700)
    for round in 0..<200 {
      var threads: [TestThread] = []
      for index in 0..<2 {
        threads.append(
          try TestThread {
            for step in 0..<20 { bench.setExternal((step + index) % 2 == 0 ? 0x30 : nil) }
          }
        )
      }
      for thread in threads { thread.join() }
      #expect(bench.apic.hasInterrupt == bench.external.isRequesting, "round \(round)")
    }
  }

  /// A number that threads share.
  private final class Tally: Sendable {
    private let count = Atomic<Int>(0)
    var value: Int { count.load(ordering: .sequentiallyConsistent) }
    func add() { count.add(1, ordering: .sequentiallyConsistent) }
    func take() -> Int { count.exchange(0, ordering: .sequentiallyConsistent) }
  }

  /// What a sleeping processor waits for.
  private final class Wake: Sendable {
    private let tally = Tally()
    func signal() { tally.add() }
    func wait() { _ = waitUntil(seconds: 30) { tally.take() > 0 } }
  }
}
