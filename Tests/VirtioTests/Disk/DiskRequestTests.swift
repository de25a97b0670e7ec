import Glibc
import GuestMemory
import TestSupport
import Testing

@testable import Virtio

/// How a request goes on after what the host answers, whatever does it.
@Suite struct DiskRequestTests {
  private let requests: DiskRequests

  init() throws { requests = DiskRequests(count: 2, in: try GuestMemory(count: 1 << 20)) }

  private func advance(_ place: Int, _ result: Int) -> Bool { requests[place].advance(result) }

  private func begin(_ operation: DiskRequest.Operation, count: UInt64) throws -> Int {
    let place = try #require(requests.take())
    requests[place].vector.removeAll()
    try requests[place].vector.append(GuestAddress(0x1000), count: count)
    requests[place].begin(operation, at: 512)
    return place
  }

  private func beginRanges(
    _ operation: DiskRequest.Operation,
    _ ranges: [(UInt64, UInt64)],
    isDurable: Bool = false
  ) throws -> Int {
    let place = try #require(requests.take())
    requests[place].removeRanges()
    for (offset, count) in ranges {
      requests[place].append(DiskRequest.Range(offset: offset, count: count))
    }
    requests[place].beginRanges(operation, isDurable: isDurable)
    return place
  }

  @Test func aPartialTransferGoesOnWhereItStopped() throws {
    let place = try begin(.read, count: 4096)
    #expect(!advance(place, 1000))
    #expect(requests[place].offset == 1512)
    #expect(requests[place].vector.count == 3096)
    #expect(!advance(place, 3000))
    #expect(advance(place, 96))
    #expect(requests[place].failure == nil)
  }

  @Test func anErrorEndsARequestAfterWhatWasDone() throws {
    let place = try begin(.write, count: 4096)
    #expect(!advance(place, 1000))
    #expect(advance(place, Int(-EIO)))
    #expect(requests[place].failure == .host(EIO))
  }

  @Test func aHostThatGoesNoFurtherEndsARequest() throws {
    let place = try begin(.read, count: 4096)
    #expect(!advance(place, 1000))
    #expect(advance(place, 0))
    #expect(requests[place].failure == .short(1000))
  }

  @Test(arguments: [EOPNOTSUPP, ENOTTY, EINVAL, ENOSYS])
  func whatCannotBeDiscardedIsKept(code: Int32) throws {
    let place = try beginRanges(.discard, [(0, 512), (4096, 512)])
    #expect(!advance(place, Int(-code)))
    #expect(requests[place].range.offset == 4096)
    #expect(advance(place, Int(-code)))
    #expect(requests[place].failure == nil)
  }

  @Test func whatCannotBeZeroedIsWritten() throws {
    let place = try beginRanges(.zero(mayUnmap: true), [(1024, 2048)], isDurable: true)
    #expect(!advance(place, Int(-EOPNOTSUPP)))
    guard case .fill = requests[place].action else {
      Issue.record("no zeroes are written")
      return
    }
    #expect(requests[place].offset == 1024)
    #expect(!advance(place, 1024))
    #expect(requests[place].leftCount == 1024)
    #expect(!advance(place, 1024))
    guard case .synchronize = requests[place].action else {
      Issue.record("what was written is not synchronized")
      return
    }
    #expect(advance(place, 0))
    #expect(requests[place].failure == nil)
  }

  @Test func aDurableChangeEndsOnStableStorage() throws {
    let place = try beginRanges(.discard, [(0, 512)], isDurable: true)
    #expect(!advance(place, 0))
    #expect(advance(place, Int(-ENOSPC)))
    #expect(requests[place].failure == .host(ENOSPC))
  }

  @Test func placesAreTakenAndGivenBack() throws {
    let places = [try #require(requests.take()), try #require(requests.take())]
    #expect(Set(places) == [0, 1])
    #expect(requests.take() == nil)
    requests.giveBack(places[0])
    #expect(requests.take() == places[0])
  }

  /// Its name is in a file system in memory, but not its bytes: a read of them may wait for a device.
  @Test(.enabled(if: LoopDevice.isThere, "there are no loop devices"))
  func aBlockDeviceIsNotTakenForMemory() throws {
    let folder = try TemporaryFolder()
    let device = try LoopDevice(try folder.file("disk", [UInt8](repeating: 5, count: 1 << 20)))
    defer { withExtendedLifetime(device) {} }
    #expect(try DiskImage(opening: device.path, readOnly: true).caching == .pageCache)
  }
}
