import CLinux
import DeviceModel
import Glibc
import HostOS
import PCI
import TestSupport
import Testing

@testable import RemoteDevice

/// What a peer can do with the eventfds that it has handed over.
@Suite(.timeLimit(.minutes(5))) struct HostileEventFDTests {
  /// A copy, as a peer's comes: it may be anything.
  private func received(_ event: EventFD) throws -> EventFD {
    EventFD(adopting: try OwnedFileDescriptor(duplicating: event.rawValue))
  }

  @Test func aFullAndBlockingTriggerHoldsUpNobody() throws {
    let hub = try IOHub(policy: .everyRise)
    let theirs = (trigger: try EventFD(), resample: try EventFD())
    try theirs.trigger.makeFullAndBlocking()
    try hub.connect(
      0,
      trigger: try received(theirs.trigger),
      resample: try received(theirs.resample)
    )
    let line = hub.makeLine(0)
    for _ in 0..<10 {
      line.assert()
      line.deassert()
    }
    line.assert()
    theirs.trigger.drain()
    theirs.resample.signal()
    #expect(waitUntil { isReadable(theirs.trigger.rawValue) })
  }

  @Test func aThreadThatIsHeldUpIsFreedWhetherOrNotSomebodyWaitsForIt() throws {
    let isDone = try EventFD()
    // One that is not taken for a peer's is written to with no look: so the thread does wait.
    for _ in 0..<2 {
      let event = try EventFD()
      try event.makeFullAndBlocking()
      let thread = try TestThread {
        event.signalPeer()
        isDone.signal()
      }
      #expect(waitUntil { isReadable(isDone.rawValue) })
      isDone.drain()
      // The signal is not lost with what the peer had there.
      #expect(event.drain() == 1)
      thread.join()
    }
  }

  @Test func aServersThreadReadsTheStatusWhileADevicesThreadIsHeldUp() throws {
    let hub = try IOHub(policy: .everyRise)
    let event = try EventFD()
    hub.setTrigger(event, of: 0)
    let registers = PCIConfigurationSpace(
      PCIIdentity(vendorID: 0x1234, deviceID: 0x5678, classCode: 0x01_00_00)
    )
    let pin = PCIInterruptPin(to: hub.makeLine(0), of: registers)
    let isDone = try EventFD()
    try event.makeFullAndBlocking()
    let device = try TestThread { pin.assert() }
    #expect(waitUntil { hub.isAsserted(0) })
    let server = try TestThread {
      pin.deassert()
      isDone.signal()
    }
    #expect(waitUntil { isReadable(isDone.rawValue) })
    device.join()
    server.join()
  }

  @Test func aTriggerThatIsHandedOverAgainKeepsItsCount() throws {
    let event = try EventFD()
    event.signal()
    let taken = try ReceivedEventFD.adopt(
      OwnedFileDescriptor(duplicating: event.rawValue),
      as: .trigger
    )
    #expect(taken != nil)
    #expect(event.drain() == 1)
  }

  @Test func aHubGoesAwayWhileItsThreadIsHeldUp() throws {
    let (trigger, resample) = (try EventFD(), try EventFD())
    var hub: IOHub? = try IOHub(policy: .everyRise)
    try hub?.connect(0, trigger: trigger, resample: resample)
    let line = hub?.makeLine(0)
    line?.assert()
    try trigger.makeFullAndBlocking()
    resample.signal()
    #expect(waitUntil { !isReadable(resample.rawValue) })
    hub = nil
    #expect(hub == nil)
  }

  @Test func anEventfdThatCannotBeEmptiedIsLookedAtOnce() throws {
    let hub = try IOHub(policy: .everyRise, withoutThread: ())
    let resample = EventFD(
      adopting: OwnedFileDescriptor(
        adopting: eventfd(1_000_000, Int32(EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE))
      )
    )
    let trigger = try EventFD()
    try hub.connect(0, trigger: trigger, resample: resample)
    let line = hub.makeLine(0)
    line.assert()
    trigger.drain()
    hub.turn()
    #expect(trigger.drain() == 1)
    hub.turn()
    #expect(trigger.drain() == 0)
    resample.signal()
    hub.turn()
    #expect(trigger.drain() == 1)
  }

  @Test func aPairThatIsOneEventfdLeavesTheProcessorToOthers() throws {
    let hub = try IOHub(pinCount: 2, policy: .everyRise)
    let both = try EventFD()
    try hub.connect(0, trigger: both, resample: try received(both))
    let (trigger, resample) = (try EventFD(), try EventFD())
    try hub.connect(1, trigger: trigger, resample: resample)
    let (line, other) = (hub.makeLine(0), hub.makeLine(1))
    line.assert()
    other.assert()
    for _ in 0..<50 {
      resample.signal()
      #expect(waitUntil { trigger.drain() > 0 })
    }
    line.deassert()
    #expect(waitUntil { !isReadable(both.rawValue) })
  }

  @Test func endsAreLookedAtSoOftenAndNoMore() {
    let pace = IOHubPace()
    let start = ContinuousClock.now
    for _ in 0..<64 * 20 { pace.wait() }
    #expect(start.duration(to: .now) >= .milliseconds(18))
  }

  @Test func onlyAnEventfdIsTakenForOne() throws {
    let pair = try SocketPair()
    #expect(try ReceivedEventFD.adopt(try pair.near.duplicated(), as: .trigger) == nil)
    let file = try MemoryFile(count: 8)
    #expect(try ReceivedEventFD.adopt(try file.descriptor.duplicated(), as: .trigger) == nil)
    let poller = try Poller()
    #expect(
      try ReceivedEventFD.adopt(OwnedFileDescriptor(duplicating: poller.rawValue), as: .trigger)
        == nil
    )
    let event = try EventFD()
    let taken = try ReceivedEventFD.adopt(
      OwnedFileDescriptor(duplicating: event.rawValue),
      as: .trigger
    )
    taken?.signal()
    #expect(event.drain() == 1)
  }
}
