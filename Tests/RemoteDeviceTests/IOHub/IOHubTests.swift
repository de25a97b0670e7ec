import DeviceModel
import Glibc
import HostOS
import RemoteDevice
import TestSupport
import Testing

/// The lines of devices, and what the peer's eventfds say of them.
@Suite(.timeLimit(.minutes(5))) struct IOHubTests {
  private static let policies: [IOHub.Policy] = [.everyRise, .automask]

  @Test(arguments: policies) func theFirstAssertionSignalsAndNoOther(policy: IOHub.Policy) throws {
    let rig = try IOHubRig(policy)
    let (first, second) = (rig.hub.makeLine(0), rig.hub.makeLine(0))
    first.assert()
    #expect(rig.trigger.drain() == 1)
    second.assert()
    first.assert()
    first.deassert()
    #expect(rig.trigger.drain() == 0)
    #expect(rig.hub.isAsserted(0))
    second.deassert()
    #expect(!rig.hub.isAsserted(0))
    #expect(rig.trigger.drain() == 0)
  }

  @Test(arguments: policies) func aPinThatIsStillUpSignalsAgainAtTheEnd(policy: IOHub.Policy) throws
  {
    let rig = try IOHubRig(policy)
    let line = rig.hub.makeLine(0)
    line.assert()
    rig.trigger.drain()
    for _ in 0..<3 {
      rig.end()
      #expect(rig.trigger.drain() == 1)
    }
    line.deassert()
    rig.end()
    #expect(rig.trigger.drain() == 0)
    line.assert()
    #expect(rig.trigger.drain() == 1)
  }

  @Test func anAutomaskedPinIsSilentUntilTheEnd() throws {
    let rig = try IOHubRig(.automask)
    let line = rig.hub.makeLine(0)
    line.assert()
    rig.trigger.drain()
    line.deassert()
    line.assert()
    #expect(rig.trigger.drain() == 0)
    rig.hub.unmask(0)
    #expect(rig.trigger.drain() == 1)
    line.deassert()
    line.assert()
    #expect(rig.trigger.drain() == 0)
    rig.end()
    #expect(rig.trigger.drain() == 1)
    line.deassert()
    rig.hub.unmask(0)
    #expect(rig.trigger.drain() == 0)
  }

  @Test func withoutAutomaskEachRiseSignals() throws {
    let rig = try IOHubRig(.everyRise)
    let line = rig.hub.makeLine(0)
    for _ in 0..<3 {
      line.assert()
      #expect(rig.trigger.drain() == 1)
      line.deassert()
    }
  }

  @Test func aMaskedPinKeepsItsInterrupt() throws {
    let rig = try IOHubRig(.automask)
    let line = rig.hub.makeLine(0)
    rig.hub.mask(0)
    line.assert()
    #expect(rig.trigger.drain() == 0)
    rig.hub.unmask(0)
    #expect(rig.trigger.drain() == 1)
  }

  @Test(arguments: policies) func aLineThatIsLetGoOfIsDown(policy: IOHub.Policy) throws {
    let rig = try IOHubRig(policy)
    var line: (any InterruptLine)? = rig.hub.makeLine(0)
    line?.assert()
    #expect(rig.hub.isAsserted(0))
    line = nil
    #expect(!rig.hub.isAsserted(0))
  }

  @Test func pinsKnowNothingOfOneAnother() throws {
    let rig = try IOHubRig(.everyRise, pinCount: 2)
    let line = rig.hub.makeLine(1)
    line.assert()
    #expect(rig.trigger.drain() == 0)
    #expect(!rig.hub.isAsserted(0))
    #expect(rig.hub.isAsserted(1))
  }

  @Test(arguments: policies) func aPinWithNoEventfdWaitsForOne(policy: IOHub.Policy) throws {
    let hub = try IOHub(policy: policy, withoutThread: ())
    let line = hub.makeLine(0)
    line.assert()
    hub.unmask(0)
    let (trigger, resample) = (try EventFD(), try EventFD())
    try hub.connect(0, trigger: trigger, resample: resample)
    #expect(trigger.drain() == 1)
  }

  @Test(arguments: policies) func anEndOfAnotherPairIsNone(policy: IOHub.Policy) throws {
    let rig = try IOHubRig(policy)
    let line = rig.hub.makeLine(0)
    line.assert()
    rig.trigger.drain()
    let (trigger, resample) = (try EventFD(), try EventFD())
    rig.resample.signal()
    try rig.hub.connect(0, trigger: trigger, resample: resample)
    // The new one has not been told of the level yet.
    #expect(trigger.drain() == 1)
    rig.hub.turn()
    rig.resample.signal()
    rig.hub.turn()
    #expect(trigger.drain() == 0)
    #expect(rig.trigger.drain() == 0)
    resample.signal()
    rig.hub.turn()
    #expect(trigger.drain() == 1)
  }

  @Test(arguments: policies) func aPairThatIsTakenAwayHearsNothing(policy: IOHub.Policy) throws {
    let rig = try IOHubRig(policy)
    let line = rig.hub.makeLine(0)
    rig.hub.disconnect(0)
    line.assert()
    rig.end()
    #expect(rig.trigger.drain() == 0)
    try rig.hub.connect(0, trigger: rig.trigger, resample: rig.resample)
    #expect(rig.trigger.drain() == 1)
  }

  @Test func theHubLetsGoOfEventfdsThatWereReplaced() throws {
    let rig = try IOHubRig(.everyRise)
    weak var old: EventFD?
    do {
      let (trigger, resample) = (try EventFD(), try EventFD())
      old = resample
      try rig.hub.connect(0, trigger: trigger, resample: resample)
    }
    #expect(old != nil)
    try rig.hub.connect(0, trigger: rig.trigger, resample: rig.resample)
    #expect(old == nil)
  }

  @Test func aThreadServesTheEnds() throws {
    let hub = try IOHub(policy: .automask)
    let (trigger, resample) = (try EventFD(), try EventFD())
    try hub.connect(0, trigger: trigger, resample: resample)
    let line = hub.makeLine(0)
    line.assert()
    trigger.drain()
    for _ in 0..<100 {
      resample.signal()
      #expect(waitUntil { trigger.drain() > 0 })
    }
  }
}
