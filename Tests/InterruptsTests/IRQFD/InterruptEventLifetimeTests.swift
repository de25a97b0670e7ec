import Glibc
import HostOS
import TestSupport
import Testing

@testable import Interrupts

/// Bindings are freed in any order, and nothing of them stays.
@Suite struct InterruptEventLifetimeTests {
  let rig: EventRig
  let events: InterruptEvents
  let irq: EventFD
  let end: EventFD

  init() throws {
    rig = try EventRig()
    irq = try EventFD()
    end = try EventFD()
    events = rig.events
  }

  @Test func anIRQFDThatGoesWhileAssertedLowersTheLine() throws {
    try events.assign(irq, 16)
    irq.signal()
    rig.loop.turn()
    try events.deassign(irq, 16)
    #expect(!rig.isAsserted(16))
    #expect(rig.sources(of: 16) == 0)
    #expect(rig.loop.count == 0)
    #expect(try irq.descriptorCount() == 1)
  }

  @Test func anEOIFDStillMeansTheSameWhenItsIRQFDIsGone() throws {
    try events.assign(irq, 16)
    try events.assign(end: end, of: irq)
    irq.signal()
    rig.loop.turn()
    try events.deassign(irq, 16)
    #expect(rig.isAsserted(16))
    #expect(rig.plane.serve())
    #expect(!rig.isAsserted(16))
    #expect(end.drain() == 1)
    #expect(rig.sources(of: 16) == 1)
    try events.deassign(end: end, of: irq)
    #expect(rig.sources(of: 16) == 0)
    #expect(try irq.descriptorCount() == 1)
    #expect(try end.descriptorCount() == 1)
  }

  @Test func anEOIFDThatGoesLastLowersTheLine() throws {
    try events.assign(irq, 16)
    try events.assign(end: end, of: irq)
    irq.signal()
    rig.loop.turn()
    try events.deassign(irq, 16)
    try events.deassign(end: end, of: irq)
    #expect(!rig.isAsserted(16))
    #expect(rig.sources(of: 16) == 0)
  }

  @Test func anIRQFDStaysAssertedWhenItsEOIFDIsGone() throws {
    try events.assign(irq, 16)
    try events.assign(end: end, of: irq)
    irq.signal()
    rig.loop.turn()
    try events.deassign(end: end, of: irq)
    #expect(rig.plane.serve())
    #expect(rig.isAsserted(16))
    #expect(end.drain() == 0)
    // A new one ends what is asserted already.
    try events.assign(end: end, of: irq)
    #expect(rig.plane.serve())
    #expect(!rig.isAsserted(16))
    #expect(end.drain() == 1)
    try events.deassign(end: end, of: irq)
    try events.deassign(irq, 16)
    #expect(rig.sources(of: 16) == 0)
  }

  @Test func anEOIFDOfAnIRQFDThatIsGoneIsInTheWayOfAnother() throws {
    try events.assign(irq, 16)
    try events.assign(end: end, of: irq)
    try events.deassign(irq, 16)
    try events.assign(irq, 17)
    #expect(throws: InterruptError.busy(irq.rawValue)) { try events.assign(end: end, of: irq) }
    try events.deassign(end: end, of: irq)
    try events.assign(end: end, of: irq)
    #expect(rig.raiseAndServe(irq))
    #expect(end.drain() == 1)
  }

  /// The kernel gives the number of an eventfd that is gone to the next.
  @Test func theEOIFDOfAnEventfdThatIsClosedIsInNobodysWay() throws {
    for _ in 0..<16 {
      let irq = try EventFD()
      try events.assign(irq, 16)
      try events.assign(end: end, of: irq)
      try events.deassign(irq, 16)
    }
    let next = try EventFD()
    try events.assign(next, 16)
    try events.assign(end: end, of: next)
    #expect(rig.raiseAndServe(next))
    #expect(end.drain() == 1)
  }

  private struct Weak {
    weak var irqfd: IRQFD?
    weak var eoifd: EOIFD?
    weak var router: InterruptRouter?
    var isGone: Bool { irqfd == nil && eoifd == nil && router == nil }
  }

  private func weakReferences(_ events: InterruptEvents) -> Weak {
    events.state.withLock {
      Weak(irqfd: $0.irqfds.values.first, eoifd: $0.eoifds.values.first)
    }
  }

  @Test func destroyingTheTableReleasesEverything() throws {
    let loop = rig.loop
    func use() throws -> Weak {
      let events = InterruptEvents(rig.plane.router, on: loop)
      try events.assign(irq, 16)
      try events.assign(end: end, of: irq)
      try events.assign(end, 17, [])
      irq.signal()
      loop.turn()
      #expect(rig.isAsserted(16))
      #expect(rig.sources(of: 16) == 1)
      return weakReferences(events)
    }
    let weak = try use()
    #expect(weak.isGone)
    #expect(!rig.isAsserted(16))
    #expect(rig.sources(of: 16) + rig.sources(of: 17) == 0)
    #expect(loop.count == 0)
    #expect(try irq.descriptorCount() == 1)
    #expect(try end.descriptorCount() == 1)
  }

  @Test func destroyingAllOfItLeavesNoDescriptor() async {
    await #expect(processExitsWith: .success) {
      func count() -> Int {
        (0..<1024 as Range<Int32>).filter { fcntl($0, F_GETFD) >= 0 }.count
      }
      func use(_ order: Int) throws {
        let rig = try EventRig()
        let loop = try InterruptEventLoop()
        let events = InterruptEvents(rig.plane.router, on: loop)
        let devices = try (0..<8).map { _ in (try EventFD(), try EventFD()) }
        for (irq, end) in devices {
          try events.assign(irq, 16)
          try events.assign(end: end, of: irq)
          irq.signal()
        }
        for (place, (irq, end)) in devices.enumerated() {
          if (place + order) % 3 == 0 { try events.deassign(irq, 16) }
          if (place + order) % 4 == 0 { try events.deassign(end: end, of: irq) }
        }
      }
      // The first use may open what the process keeps.
      try use(0)
      let before = count()
      for order in 1..<12 { try use(order) }
      precondition(count() == before, "\(count()) descriptors where \(before) were")
    }
  }

  @Test func aRouterMayGoBeforeItsTable() throws {
    func use() throws -> Weak {
      let plane = try PlaneRig()
      let loop = try InterruptEventLoop(withoutThread: ())
      let events = InterruptEvents(plane.router, on: loop)
      try events.assign(irq, 16)
      try events.assign(end: end, of: irq)
      plane.takeDown()
      irq.signal()
      loop.turn()
      var weak = weakReferences(events)
      weak.router = plane.router
      return weak
    }
    #expect(try use().isGone)
    #expect(try irq.descriptorCount() == 1)
    #expect(try end.descriptorCount() == 1)
  }

  @Test func aNotifierMayHoldTheLastOfAnotherSource() throws {
    let router = rig.plane.router
    let isDone = Shared()
    // On a thread of its own, since a lock that is taken twice would hold this one for ever.
    let thread = try TestThread {
      do {
        var source: InterruptSource? = try router.makeSource(of: GSI(16))
        try source?.bind { [held = try router.makeSource(of: GSI(17))] in held.assert() }
        try source?.bind { [held = try router.makeSource(of: GSI(18))] in held.assert() }
        try source?.bind(nil)
        try source?.bind { [held = try router.makeSource(of: GSI(19))] in held.assert() }
        source = nil
        isDone.add()
      } catch { Issue.record(error) }
    }
    #expect(waitUntil(seconds: 10) { isDone.value == 1 })
    if isDone.value == 1 { thread.join() }
    for gsi in 16..<20 as Range<UInt32> { #expect(rig.sources(of: gsi) == 0) }
  }

  @Test func bindingDoesNotRaiseTheLineAgain() throws {
    let source = try rig.plane.router.makeSource(of: GSI(16))
    source.assert()
    try source.bind {}
    try source.bind {}
    try source.bind(nil)
    #expect(rig.plane.router.counters(of: GSI(16)).raised == 1)
  }
}
