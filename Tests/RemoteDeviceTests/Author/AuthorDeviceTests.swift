import GuestMemory
import PCI
import Testing
import TestSupport

/// One device of an author's, in each of the ways in which it can run: what the guest sees is the same.
@Suite(.timeLimit(.minutes(5))) struct AuthorDeviceTests {
  typealias Way = AuthorDeviceRig.Way

  @Test(arguments: Way.allCases) func theGuestFindsIt(_ way: Way) throws {
    let rig = try AuthorDeviceRig(way)
    #expect(rig.identity == 0x5678_1234)
  }

  @Test(arguments: Way.allCases) func itsRegistersAreReadAndWritten(_ way: Way) throws {
    let rig = try AuthorDeviceRig(way)
    rig.write(0x1122_3344_5566_7788, 0, 8)
    #expect(rig.read(0, 8) == 0x1122_3344_5566_7788)
    #expect(rig.read(4, 4) == 0x1122_3344)
    rig.write(0xAB, 5, 1, bar: 2)
    #expect(rig.read(0, 1, bar: 2) == 0xAB)
  }

  @Test(arguments: Way.allCases) func itReachesTheGuestsMemory(_ way: Way) throws {
    let rig = try AuthorDeviceRig(way)
    try rig.memory.write([1, 2, 3, 4], at: GuestAddress(0x1FFE))
    rig.write(0x1FFE, 0, 8)
    rig.write(0x8000, 8, 8)
    rig.write(4, 0x10, 4)
    #expect(rig.read(0x14, 4) == 1)
    #expect(try rig.memory.read(at: GuestAddress(0x8000), count: 4) == [1, 2, 3, 4])
  }

  @Test(arguments: Way.allCases) func itDoesNotReachWhatIsNotItsToReach(_ way: Way) throws {
    let rig = try AuthorDeviceRig(way)
    rig.write(0xFFFF_FFFF_FFFF_FFF0, 0, 8)
    rig.write(0x40, 0x10, 4)
    #expect(rig.read(0x14, 4) == 2)
    rig.write(0x1000, 0, 8)
    rig.write(0x2000, 8, 8)
    rig.takeBusMaster()
    rig.write(4, 0x10, 4)
    #expect(waitUntil { rig.log.notices.contains { $0.contains("bus master") } })
  }

  @Test(arguments: Way.allCases) func itInterruptsByItsPin(_ way: Way) throws {
    let rig = try AuthorDeviceRig(way)
    rig.write(1, 0x18, 4)
    #expect(rig.waitForInterrupt())
    #expect(rig.read(0x18, 4) == 1)
    rig.write(0, 0x18, 4)
    #expect(rig.read(0x18, 4) == 0)
  }

  @Test(arguments: [Way.here, .vfioUser], [Way.here, .vfioUser])
  func itGoesOnInAnotherPlace(_ from: Way, _ to: Way) throws {
    let first = try AuthorDeviceRig(from)
    first.write(0x1122_3344_5566_7788, 0, 8)
    first.write(0xAB, 5, 1, bar: 2)
    first.write(1, 0x18, 4)
    #expect(first.waitForInterrupt())
    let state = try first.save(goingOn: true)
    #expect(first.read(0, 8) == 0x1122_3344_5566_7788)
    // Where it was is a matter of the machine's; what is saved here is taken there if both are the same kind.
    let second = try AuthorDeviceRig(to)
    guard from == to else {
      #expect(throws: PCIStateError.self) { try second.restore(state) }
      return
    }
    try second.restore(state)
    #expect(second.read(0, 8) == 0x1122_3344_5566_7788)
    #expect(second.read(0, 1, bar: 2) == 0xAB)
    #expect(second.read(0x18, 4) == 1)
    #expect(second.waitForInterrupt())
  }

  @Test(arguments: [Way.here, .vfioUser])
  func aStateThatIsNoneIsNotTaken(_ way: Way) throws {
    let rig = try AuthorDeviceRig(way)
    let state = try rig.save(goingOn: true)
    for bad in [[], Array(state.dropLast()), state + [0], Array(state.prefix(6))] {
      #expect(throws: PCIStateError.self) { try rig.restore(bad) }
    }
  }

  @Test func aDeviceBehindTheMultiProcessProtocolKeepsItsStateToItself() throws {
    let rig = try AuthorDeviceRig(.mpqemu)
    #expect(!rig.canBeSaved)
  }
}
