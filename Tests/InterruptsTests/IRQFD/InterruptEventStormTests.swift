import Glibc
import HostOS
import TestSupport
import Testing

@testable import Interrupts

/// Real threads that assert, end, assign and de-assign at once: nothing is lost and nothing stays.
@Suite struct InterruptEventStormTests {
  /// A device that signals, and signals again once the end of its interrupt is reported.
  private static func work(_ irq: EventFD, _ end: EventFD, _ count: Int, _ failures: Shared) {
    for _ in 0..<count {
      irq.signal()
      guard waitUntil(seconds: 20, { end.drain() > 0 }) else { return failures.add() }
    }
  }

  /// Binds and unbinds a pair of its own at the others' line, signalled or not, in different orders.
  private static func churn(_ events: InterruptEvents, _ rounds: Int) throws {
    for round in 0..<rounds {
      let (irq, end) = (try EventFD(), try EventFD())
      if round % 2 == 0 { irq.signal() }
      try events.assign(irq, 16)
      try events.assign(end: end, of: irq)
      irq.signal()
      if round % 3 == 0 {
        try events.deassign(irq, 16)
        try events.deassign(end: end, of: irq)
      } else {
        try events.deassign(end: end, of: irq)
        try events.deassign(irq, 16)
      }
    }
  }

  @Test func theStormLosesNothingAndLeaksNothing() throws {
    let rig = try EventRig()
    let devices = try (0..<3).map { _ in (irq: try EventFD(), end: try EventFD()) }
    let (failures, finished) = (Shared(), Shared())
    func storm() throws -> [() -> Bool] {
      let events = InterruptEvents(rig.plane.router, on: try InterruptEventLoop())
      for device in devices {
        try events.assign(device.irq, 16)
        try events.assign(end: device.end, of: device.irq)
      }
      var threads = try devices.map { irq, end in
        try TestThread {
          Self.work(irq, end, 300, failures)
          finished.add()
        }
      }
      threads += try (0..<2).map { _ in
        try TestThread {
          do { try Self.churn(events, 300) } catch { failures.add() }
          finished.add()
        }
      }
      threads.append(
        try TestThread {
          // The guest, until all others are through.
          while finished.value < devices.count + 2 { if !rig.plane.serve() { usleep(20) } }
        }
      )
      for thread in threads { thread.join() }
      let bindings = events.state.withLock { ($0.irqfds.values, $0.eoifds.values) }
      #expect(bindings.0.count == devices.count)
      #expect(bindings.1.count == devices.count)
      return bindings.0.map { value in { [weak value] in value == nil } }
        + bindings.1.map { value in { [weak value] in value == nil } }
    }
    let isGone = try storm()
    #expect(failures.value == 0)
    #expect(isGone.allSatisfy { $0() })
    #expect(rig.sources(of: 16) == 0)
    #expect(rig.plane.router.ioAPICLevels.all == 0)
    while rig.plane.serve() {}
    for device in devices {
      #expect(device.end.drain() == 0)
      #expect(try device.irq.descriptorCount() == 1)
      #expect(try device.end.descriptorCount() == 1)
    }
  }

  /// Several threads that each take the same eventfds: each request has one winner, or is refused.
  @Test func theSameEventfdsAreAssignedAndTakenOffByMany() throws {
    let rig = try EventRig()
    let (irq, end) = (try EventFD(), try EventFD())
    let loop = try InterruptEventLoop()
    let events = InterruptEvents(rig.plane.router, on: loop)
    let (assigned, taken) = (Shared(), Shared())
    let threads = try (0..<4).map { place in
      try TestThread {
        for round in 0..<400 {
          if (try? events.assign(irq, 16)) != nil { assigned.add() }
          if (try? events.assign(end: end, of: irq)) != nil { assigned.add() }
          irq.signal()
          if (round + place) % 2 == 0, (try? events.deassign(end: end, of: irq)) != nil {
            taken.add()
          }
          if (try? events.deassign(irq, 16)) != nil { taken.add() }
          if (try? events.deassign(end: end, of: irq)) != nil { taken.add() }
        }
      }
    }
    for thread in threads { thread.join() }
    if (try? events.deassign(irq, 16)) != nil { taken.add() }
    if (try? events.deassign(end: end, of: irq)) != nil { taken.add() }
    #expect(assigned.value == taken.value)
    #expect(loop.count == 0)
    #expect(waitUntil { rig.sources(of: 16) == 0 })
    #expect(try waitUntil { try irq.descriptorCount() == 1 })
    #expect(try end.descriptorCount() == 1)
  }
}
