import Glibc
import GuestMemory
import TestSupport
import Testing
import Virtio

/// Servers that die, hang, or do not keep to the protocol.
@Suite(
  .enabled(if: NBDServer.isThere, "qemu-nbd or libnbd0 is missing: scripts/setup"),
  .timeLimit(.minutes(5))
)
struct NBDLossTests {
  private let folder: TemporaryFolder
  private let path: String

  init() throws {
    folder = try TemporaryFolder()
    path = try folder.file("disk", BlockRig.content)
  }

  private func serve() throws -> NBDServer {
    try NBDServer.qemu("--format=raw \(path)", in: folder)
  }

  private func rig(
    _ address: String,
    _ options: NBDDisk.Options = NBDDisk.Options()
  ) throws -> BlockRig {
    let disk = try NBDDisk(try #require(NBDAddress(address)), options)
    return try BlockRig(DiskSource(disk), in: folder)
  }

  private static let sector: [MockBuffer] = [.writable(BlockRig.data, 512)]

  /// Makes a read of sector 2 that the server does not answer.
  private func offerRead(_ rig: BlockRig) throws {
    try rig.prepare(0, sector: 2)
    try rig.queue.add(
      [.readable(BlockRig.header, 16)] + Self.sector + [.writable(BlockRig.status, 1)]
    )
    try rig.rig.driver.kick(0, rig.queue)
  }

  private func status(_ rig: BlockRig) throws -> UInt8 {
    _ = try rig.rig.driver.waitForUsed(rig.queue)
    return try rig.rig.memory.load8(at: GuestAddress(BlockRig.status))
  }

  @Test func aServerThatDiesFailsRequestsUntilThereIsAnother() throws {
    var server = try serve()
    let rig = try rig(server.address)
    #expect(try rig.request(0, sector: 1, Self.sector).status == 0)
    server.stop()
    try offerRead(rig)
    server.kill()
    #expect(try status(rig) == 1)
    #expect(try rig.request(0, sector: 1, Self.sector).status == 1)
    let lines = rig.rig.log.lines
    #expect(lines.filter { $0.contains("requests fail until there is another") }.count == 1)
    #expect(lines.contains { $0.contains("read of 512 bytes at 1024") })
    server = try serve()
    // Those that fail until then may fill the log's measure.
    #expect(try waitUntil { try rig.request(0, sector: 1, Self.sector).status == 0 })
  }

  /// Nobody asks for anything while the server is away: nothing has to fail.
  @Test func aServerThatIsReplacedInAQuietMomentIsNotMissed() throws {
    var server = try serve()
    let rig = try rig(server.address)
    #expect(try rig.request(0, sector: 1, Self.sector).status == 0)
    server.kill()
    #expect(waitUntil { rig.rig.log.lines.contains { $0.contains("the connection is lost") } })
    server = try serve()
    #expect(waitUntil { rig.rig.log.lines.contains { $0.contains("connected again") } })
    #expect(try rig.request(0, sector: 1, Self.sector).status == 0)
  }

  @Test func aResetFindsTheNextServer() throws {
    var server = try serve()
    let rig = try rig(server.address)
    server.kill()
    rig.rig.transport.status = 0
    try rig.rig.driver.negotiate()
    let queue = try rig.rig.driver.makeQueue(0)
    rig.rig.driver.start()
    try rig.prepare(0, sector: 3)
    try queue.add([.readable(BlockRig.header, 16)] + Self.sector + [.writable(BlockRig.status, 1)])
    try rig.rig.driver.kick(0, queue)
    server = try serve()
    _ = try rig.rig.driver.waitForUsed(queue)
    #expect(try rig.rig.memory.load8(at: GuestAddress(BlockRig.status)) == 0)
  }

  @Test func requestsAreMadeAgainWhereThatIsAskedFor() throws {
    let content = try folder.file("model", DiskModel.content)
    var server = try NBDServer.qemu("--format=raw \(content)", in: folder)
    let address = try #require(NBDAddress(server.address))
    let disk = try NBDDisk(address, NBDDisk.Options(reconnect: .seconds(60)))
    let model = try DiskModel(DiskSource(disk), in: folder, seed: 21)
    let end = ContinuousClock.now + .seconds(8)
    try withBackground {
      usleep(1_300_000)
      server.kill()
      if let next = try? NBDServer.qemu("--format=raw \(content)", in: folder) { server = next }
    } _: {
      while ContinuousClock.now < end { try model.run(count: 500, quietly: false) }
    }
    model.end()
    let lines = model.rig.log.lines
    #expect(lines.contains { $0.contains("requests wait 60 s for the server") })
    #expect(lines.allSatisfy { $0.contains("lost") || $0.contains("connected again") }, "\(lines)")
    try model.check { copy in
      #expect(shell("cp \(content) \(copy)").code == 0)
    }
  }

  @Test func requestsThatWaitFailInTheEnd() throws {
    let server = try serve()
    let rig = try rig(server.address, NBDDisk.Options(reconnect: .seconds(1)))
    // A queue that has never had a connection waits longer for its first.
    #expect(try rig.request(0, sector: 1, Self.sector).status == 0)
    server.kill()
    let start = ContinuousClock.now
    #expect(try rig.request(0, sector: 1, Self.sector).status == 1)
    #expect(ContinuousClock.now - start > .milliseconds(700))
    // It is known now that there is none.
    let next = ContinuousClock.now
    #expect(try rig.request(0, sector: 1, Self.sector).status == 1)
    #expect(ContinuousClock.now - next < .milliseconds(700))
    #expect(rig.rig.log.lines.contains { $0.contains("no server for requests in 1 s: ") })
  }

  @Test func aServerThatTakesTooLongIsGivenUp() throws {
    let server = try serve()
    let rig = try rig(server.address, NBDDisk.Options(timeout: .seconds(1)))
    #expect(try rig.request(4).status == 0)
    server.stop()
    try offerRead(rig)
    #expect(try status(rig) == 1)
    #expect(rig.rig.log.lines.contains { $0.contains("the connection is lost (no answer in 1 s)") })
    try rig.rig.memory.store64(7, at: GuestAddress(BlockRig.data))
    server.resume()
    #expect(waitUntil { rig.rig.log.lines.contains { $0.contains("connected again") } })
    #expect(try rig.rig.memory.load64(at: GuestAddress(BlockRig.data)) == 7)
  }

  @Test func aServerThatHangsHoldsUpAResetForItsPatienceOnly() throws {
    let server = try serve()
    let rig = try rig(server.address)
    #expect(try rig.request(4).status == 0)
    server.stop()
    try offerRead(rig)
    // Nothing shows that the request was taken, and that it should have been is no part of the test.
    usleep(300_000)
    let start = ContinuousClock.now
    rig.rig.transport.status = 0
    let time = ContinuousClock.now - start
    #expect(time > .seconds(9) && time < .seconds(40))
    try rig.rig.memory.store64(7, at: GuestAddress(BlockRig.data))
    server.resume()
    usleep(100_000)
    #expect(try rig.rig.memory.load64(at: GuestAddress(BlockRig.data)) == 7)
  }

  @Test(arguments: [HostileNBDServer.Manner.silent, .babbles, .boasts])
  func aServerThatCannotBeUsedIsToldInOneLine(manner: HostileNBDServer.Manner) throws {
    let server = try HostileNBDServer(manner, in: folder)
    let address = try #require(NBDAddress(server.address))
    let start = ContinuousClock.now
    let error = #expect(throws: NBDError.self) { _ = try NBDDisk(address) }
    #expect(ContinuousClock.now - start < .seconds(40))
    let text = try #require(error?.description)
    #expect(text.hasPrefix("disk \(server.address)") && !text.contains("\n"), "\(text)")
  }

  /// It costs the time that is given, and not more than a try a second.
  @Test(
    arguments: [
      HostileNBDServer.Manner.hangsUp, .hangs, .answersNonsense, .answersOthers, .trickles,
    ]
  )
  func aServerThatCannotServeFailsRequestsInTime(manner: HostileNBDServer.Manner) throws {
    let server = try HostileNBDServer(manner, in: folder)
    let rig = try rig(
      server.address,
      NBDDisk.Options(timeout: .seconds(2), reconnect: .seconds(2))
    )
    let start = ContinuousClock.now
    #expect(try rig.request(0, sector: 1, [.writable(BlockRig.data, 4096)]).status == 1)
    let time = ContinuousClock.now - start
    #expect(time < .seconds(40), "\(time)")
    let seconds = Int(time.components.seconds)
    #expect(server.clientCount <= seconds + 3, "\(server.clientCount) clients in \(time)")
  }

  /// The server may still do it, later than what the guest writes next: it is not made again, though
  /// requests are to be.
  @Test func aWriteThatIsNotAnsweredInTimeFailsAndIsNotRepeated() throws {
    let server = try HostileNBDServer(.forgetsFirstWrite, in: folder)
    let rig = try rig(
      server.address,
      NBDDisk.Options(timeout: .seconds(1), reconnect: .seconds(60))
    )
    let data: [MockBuffer] = [.readable(BlockRig.data, 512)]
    #expect(try rig.request(1, sector: 3, data).status == 1)
    #expect(rig.rig.log.lines.contains { $0.contains("write of 512 bytes at 1536") })
    #expect(try rig.request(0, sector: 1, Self.sector).status == 0)
    #expect(server.writeCount == 1)
    #expect(try rig.request(1, sector: 3, data).status == 0)
    #expect(server.writeCount == 2)
  }

  @Test func aFlushThatFailsIsToldAndTheNextIsDone() throws {
    let server = try HostileNBDServer(.failsFirstFlush, in: folder)
    let rig = try rig(server.address)
    #expect(try rig.request(1, sector: 3, [.readable(BlockRig.data, 512)]).status == 0)
    #expect(try rig.request(4).status == 1)
    #expect(try rig.request(4).status == 0)
    #expect(try rig.request(0, sector: 1, Self.sector).status == 0)
    #expect(rig.rig.log.lines.count == 1, "\(rig.rig.log.lines)")
    #expect(rig.rig.log.lines.first?.contains("flush: Input/output error") == true)
    #expect(server.clientCount == 1)
  }
}
