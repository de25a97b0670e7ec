import HostOS
import TestSupport
import Testing

@testable import Virtio

/// Who gets a connection that becomes free.
@Suite(
  .enabled(if: NBDServer.isThere, "qemu-nbd or libnbd0 is missing: scripts/setup"),
  .timeLimit(.minutes(10))
)
struct NBDConnectionsTests {
  /// A signal to somebody who has a connection would be taken by nobody, and wake a thread for ever.
  @Test func whoHasFoundAConnectionIsNotToldOfOthers() throws {
    let folder = try TemporaryFolder()
    let path = try folder.file("disk", BlockRig.content)
    let server = try NBDServer.qemu("--format=raw \(path)", in: folder)
    let connections = try NBDDisk(try #require(NBDAddress(server.address))).connections
    let (first, second) = (try EventFD(), try EventFD())
    let connection = try #require(connections.take(telling: EventFD()))
    #expect(connections.take(telling: first) == nil)
    #expect(connections.take(telling: second) == nil)
    connections.giveBack(connection)
    #expect(first.drain() == 1)
    // Before the one who was told.
    #expect(connections.take(telling: second) != nil)
    connections.giveBack(connection)
    #expect(second.drain() == 0)
    connections.forget(first)
    connections.forget(second)
  }
}
