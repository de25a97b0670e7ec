import CLinux
import Glibc
import HostOS
import TestSupport
import Testing

@testable import Interrupts

/// What signals of eventfds do to the guest, and the guest's ends to eventfds.
@Suite struct InterruptEventTests {
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

  @Test func aSignalOfALevelIRQFDAssertsUntilTheEndAndTheEndSignals() throws {
    try events.assign(irq, 16)
    try events.assign(end: end, of: irq)
    irq.signal()
    rig.loop.turn()
    #expect(rig.isAsserted(16))
    #expect(end.drain() == 0)
    rig.plane.serve { vector in
      #expect(vector == 0x41)
      #expect(end.drain() == 0)
    }
    #expect(!rig.isAsserted(16))
    #expect(end.drain() == 1)
    #expect(!rig.plane.serve())
  }

  @Test func aLevelIRQFDWithNoEOIFDStaysAsserted() throws {
    try events.assign(irq, 16)
    irq.signal()
    rig.loop.turn()
    for _ in 0..<3 { #expect(rig.plane.serve()) }
    #expect(rig.isAsserted(16))
  }

  @Test func aSignalOfAnEdgeIRQFDIsAPulse() throws {
    try events.assign(irq, 16, [])
    #expect(rig.raiseAndServe(irq))
    #expect(!rig.isAsserted(16))
    #expect(!rig.plane.serve())
  }

  @Test func signalsThatWaitedBeforeTheAssignmentCountOnce() throws {
    for _ in 0..<3 { irq.signal() }
    try events.assign(irq, 16)
    try events.assign(end: end, of: irq)
    rig.loop.turn()
    #expect(rig.plane.serve())
    #expect(end.drain() == 1)
    rig.loop.turn()
    #expect(!rig.plane.serve())
  }

  @Test func aSignalWhileAssertedAddsNothing() throws {
    try events.assign(irq, 16)
    try events.assign(end: end, of: irq)
    irq.signal()
    rig.loop.turn()
    irq.signal()
    rig.loop.turn()
    #expect(rig.plane.router.counters(of: GSI(16)).coalesced == 1)
    #expect(rig.plane.serve())
    #expect(end.drain() == 1)
    #expect(!rig.plane.serve())
  }

  @Test func theEndSignalsThoseThatAreAssertedOnly() throws {
    let (other, otherEnd) = (try EventFD(), try EventFD())
    try events.assign(irq, 16)
    try events.assign(other, 16)
    try events.assign(end: end, of: irq)
    try events.assign(end: otherEnd, of: other)
    #expect(rig.raiseAndServe(irq))
    #expect(end.drain() == 1)
    #expect(otherEnd.drain() == 0)
    irq.signal()
    other.signal()
    rig.loop.turn()
    #expect(rig.plane.serve())
    #expect(!rig.plane.serve())
    #expect(end.drain() == 1)
    #expect(otherEnd.drain() == 1)
  }

  @Test func theEndOfAnotherLineSignalsNothing() throws {
    let other = try EventFD()
    try events.assign(irq, 16)
    try events.assign(other, 17, [])
    try events.assign(end: end, of: irq)
    // 0x42 goes first, and its end is not that of 0x41.
    irq.signal()
    other.signal()
    rig.loop.turn()
    #expect(rig.plane.serveOne() == 0x42)
    #expect(end.drain() == 0)
    #expect(rig.isAsserted(16))
    #expect(rig.plane.serveOne() == 0x41)
    #expect(end.drain() == 1)
  }

  @Test func oneEventfdServesSeveralEOIFDs() throws {
    let irqs = try (0..<4).map { _ in try EventFD() }
    for (place, irq) in irqs.enumerated() {
      try events.assign(irq, place < 3 ? 16 : 17)
      try events.assign(end: end, of: irq)
    }
    for irq in irqs.prefix(2) { irq.signal() }
    rig.loop.turn()
    #expect(rig.plane.serve())
    #expect(end.drain() == 2)
    irqs[3].signal()
    rig.loop.turn()
    #expect(rig.plane.serve())
    #expect(end.drain() == 1)
    // One pair goes; the others stay.
    try events.deassign(end: end, of: irqs[0])
    for irq in irqs { irq.signal() }
    rig.loop.turn()
    #expect(rig.plane.serve())
    #expect(rig.plane.serve())
    #expect(end.drain() == 3)
    #expect(rig.isAsserted(16))
  }

  @Test func theEndMaySignalTheEventfdThatRaises() throws {
    try events.assign(irq, 16)
    try events.assign(end: irq, of: irq)
    irq.signal()
    for _ in 0..<3 {
      rig.loop.turn()
      #expect(rig.plane.serve())
    }
    try events.deassign(end: irq, of: irq)
  }

  @Test func irqfdsFollowTheirRoute() throws {
    try events.assign(irq, 16)
    try events.assign(end: end, of: irq)
    irq.signal()
    rig.loop.turn()
    try rig.plane.router.setRoutes(of: GSI(16), [.pin(.ioAPIC(17))])
    // The first was delivered before; its end is of a pin that the line has left.
    var vectors: [UInt8] = []
    while rig.plane.serve({ vectors.append($0) }) {}
    #expect(vectors == [0x42, 0x41])
    #expect(end.drain() == 1)
    #expect(!rig.isAsserted(16))
  }

  @Test func theCallerMayCloseItsDescriptors() throws {
    let (device, deviceEnd) = (try irq.duplicate(), try end.duplicate())
    try autoclosed(irq, end)
    #expect(rig.raiseAndServe(device))
    #expect(deviceEnd.drain() == 1)
    // Descriptors that were duplicated anew name them still.
    try events.deassign(end: deviceEnd, of: device)
    try events.deassign(device, 16)
    #expect(rig.sources(of: 16) == 0)
  }

  /// Assigns by descriptors that are closed on return.
  private func autoclosed(_ irq: EventFD, _ end: EventFD) throws {
    let (irq, end) = (try irq.duplicate(), try end.duplicate())
    try events.assign(irq, 16)
    try events.assign(end: end, of: irq)
  }

  @Test func afterDeassignmentSignalsStayInTheEventfd() throws {
    try events.assign(irq, 16)
    irq.signal()
    try events.deassign(irq, 16)
    irq.signal()
    rig.loop.turn()
    #expect(!rig.plane.serve())
    #expect(irq.drain() == 2)
  }

  @Test func aBindingThatHasEndedTakesNoSignalOfTheNext() throws {
    try events.assign(irq, 16)
    let old = try #require(events.state.withLock { $0.irqfds.values.first })
    try events.deassign(irq, 16)
    try events.assign(irq, 17)
    irq.signal()
    // The loop was about to act on the old one.
    old.consume()
    rig.loop.turn()
    #expect(!rig.isAsserted(16))
    #expect(rig.plane.serveOne() == 0x42)
  }

  @Test func aDeviceThatNeverAnswersCostsTheOthersNothing() throws {
    let (dead, deadEnd) = (try EventFD.blocking(), try EventFD.blocking())
    try events.assign(irq, 16)
    try events.assign(dead, 16)
    try events.assign(end: end, of: irq)
    try events.assign(end: deadEnd, of: dead)
    deadEnd.fill()
    for _ in 0..<100 {
      dead.signal()
      #expect(rig.raiseAndServe(irq))
      #expect(end.drain() == 1)
      #expect(!rig.isAsserted(16))
    }
    #expect(rig.plane.router.counters(of: GSI(16)).resampled == 200)
    #expect(deadEnd.drain() == UInt64.max - 1)
  }

  @Test func aBlockingEventfdThatSomebodyElseDrainedHoldsNobodyUp() throws {
    let irq = try EventFD.blocking()
    try events.assign(irq, 16)
    let irqfd = try #require(events.state.withLock { $0.irqfds.values.first })
    irqfd.consume()
    #expect(!rig.isAsserted(16))
    irq.signal()
    rig.loop.turn()
    #expect(rig.isAsserted(16))
  }

  @Test func aSemaphoreIsTakenOneByOne() throws {
    let semaphore = EventFD(
      adopting: OwnedFileDescriptor(adopting: eventfd(2, Int32(EFD_SEMAPHORE)))
    )
    try events.assign(semaphore, 16)
    try events.assign(end: end, of: semaphore)
    rig.loop.turn()
    #expect(rig.plane.serve())
    rig.loop.turn()
    #expect(rig.plane.serve())
    rig.loop.turn()
    #expect(!rig.plane.serve())
    #expect(end.drain() == 2)
  }

  @Test func aNotifierMayAssertAssignAndDeassign() throws {
    try events.assign(irq, 16)
    try events.assign(end: end, of: irq)
    let notified = Shared()
    let (other, otherEnd) = (try EventFD(), try EventFD())
    let source = try rig.plane.router.makeSource(of: GSI(16))
    try source.bind { [unowned source, rig] in
      notified.add()
      let events = rig.events
      do {
        // The irqfds of the very line, and its own binding.
        try events.deassign(end: end, of: irq)
        try events.deassign(irq, 16)
        try events.assign(irq, 16)
        try events.assign(end: end, of: irq)
        try events.assign(other, 17)
        try events.assign(end: otherEnd, of: other)
        other.signal()
        rig.loop.turn()
        if notified.value < 3 { source.assert() } else { try source.bind(nil) }
        try rig.plane.router.setRoutes(of: GSI(5), [])
        #expect(rig.plane.serveOne() == 0x42)
        try events.deassign(end: otherEnd, of: other)
        try events.deassign(other, 17)
      } catch {
        Issue.record(error)
      }
    }
    irq.signal()
    source.assert()
    rig.loop.turn()
    for _ in 0..<3 { #expect(rig.plane.serve()) }
    #expect(!rig.plane.serve())
    #expect(notified.value == 3)
    #expect(otherEnd.drain() == 3)
    #expect(end.drain() == 1)
    #expect(rig.sources(of: 16) == 2)
  }
}
