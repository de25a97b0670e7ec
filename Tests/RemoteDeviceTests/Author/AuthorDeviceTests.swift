import GuestMemory
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
}
