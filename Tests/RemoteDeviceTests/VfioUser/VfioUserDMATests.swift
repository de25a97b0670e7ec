import DeviceModel
import GuestMemory
import HostOS
import PCI
import RemoteDevice
import Synchronization
import Testing
import TestSupport

/// An author's device that reaches the client's memory by messages.
@Suite(.timeLimit(.minutes(5))) struct VfioUserDMATests {
  typealias Client = VfioUserTestClient

  /// Copies 4 bytes from the address that is written to offset 0 to that plus 0x10; offset 8 counts and says how it went.
  private final class Copier: PCIFunction {
    let name = "copier"
    let configuration = PCIConfigurationSpace(
      PCIIdentity(vendorID: 1, deviceID: 2, classCode: 0xFF0000),
      bars: [PCIBAR(0, .memory32(), size: 16)]
    )
    private let dma: DMAHandle
    private let result = Mutex<UInt64>(0)

    init(_ dma: DMAHandle) { self.dma = dma }

    func readBAR(_ access: BusAccess) -> UInt64 { result.withLock { $0 } }

    func writeBAR(_ value: UInt64, _ access: BusAccess) {
      let outcome: UInt64
      do throws(DMAError) {
        let bytes = try dma.read(at: GuestAddress(value), count: 4)
        try dma.write(bytes, at: GuestAddress(value) &+ 0x10)
        outcome = 1
      } catch {
        switch error {
        case .notBusMaster: outcome = 2
        case .notMapped: outcome = 3
        case .refused(_, let code): outcome = 0x100 | UInt64(code)
        case .timedOut: outcome = 4
        default: outcome = 5
        }
      }
      result.withLock { $0 = outcome }
    }

    func reset() { result.withLock { $0 = 0 } }
  }

  private func makeRig(patience: UInt64? = nil) throws -> VfioUserRig {
    try VfioUserRig(patience: patience) { Copier($0.dma) }
  }

  private func prepare(_ client: Client) throws {
    try client.ask(2, Client.mapping(0x1000, 0x1000))
    try client.writeRegion(7, 4, [6, 0])
  }

  @Test func memoryIsReachedOverTheConnection() throws {
    let rig = try makeRig()
    try rig.client.greet()
    try prepare(rig.client)

    let id = try rig.client.send(10, Client.words(UInt64(0), UInt32(0), UInt32(4), UInt32(0x1100)))
    // Requests that come in between wait for their turn.
    let later = try rig.client.send(9, Client.words(UInt64(8), UInt32(0), UInt32(4)))
    let read = try rig.client.receive()
    #expect(read.command == 11 && !read.isReply)
    #expect(read.payload == Client.words(UInt64(0x1100), UInt64(4)))
    try rig.client.send(11, read.payload + [1, 2, 3, 4], flags: 1, id: read.id)
    let write = try rig.client.receive()
    #expect(write.command == 12 && !write.isReply)
    #expect(write.payload == Client.words(UInt64(0x1110), UInt64(4)) + [1, 2, 3, 4])
    try rig.client.send(12, Array(write.payload.prefix(16)), flags: 1, id: write.id)

    #expect(try rig.client.receiveReply(10, id: id).payload.count == 16)
    #expect(try rig.client.receiveReply(9, id: later).payload.suffix(4) == [1, 0, 0, 0])
  }

  /// As QEMU's processor does, which has to end an access before anything else is looked at.
  @Test func aClientMayWantItsReplyBeforeItAnswers() throws {
    final class Kept: Sendable { let dma = Mutex<DMAHandle?>(nil) }
    let kept = Kept()
    let rig = try VfioUserRig { wiring in
      kept.dma.withLock { $0 = wiring.dma }
      return Copier(wiring.dma)
    }
    try rig.client.greet()
    try prepare(rig.client)
    let dma = try #require(kept.dma.withLock { $0 })
    let addresses: [UInt64] = [0x1100, 0x1200]
    let threads = try addresses.map { address in
      try TestThread {
        let bytes = try? dma.read(at: GuestAddress(address), count: 4)
        #expect(bytes == [1, 2, 3, UInt8(address >> 8 & 0xFF)])
      }
    }
    var reads: [(id: UInt16, payload: [UInt8])] = []
    for _ in addresses {
      let read = try rig.client.receive()
      #expect(read.command == 11 && !read.isReply)
      reads.append((read.id, read.payload))
    }
    #expect(try rig.client.readRegion(0, 8, count: 4) == [0, 0, 0, 0])
    // In the other order than they were asked.
    for read in reads.reversed() {
      let bytes: [UInt8] = [1, 2, 3, read.payload[1]]
      try rig.client.send(11, read.payload + bytes, flags: 1, id: read.id)
    }
    for thread in threads { thread.join() }
  }

  @Test func memoryIsReachedOverTheTwinSocket() throws {
    let rig = try makeRig()
    let text = #"{"capabilities":{"max_msg_fds":8,"twin_socket":{"supported":true}}}"#
    var greeting = try rig.client.exchange(1, [0, 0, 0, 0] + Array(text.utf8) + [0])
    #expect(String(decoding: greeting.payload, as: UTF8.self).contains(#""fd_index":0"#))
    guard let descriptor = greeting.descriptors.takeFirst() else {
      Issue.record("no socket came")
      return
    }
    let twin = Client(descriptor)
    try prepare(rig.client)

    try rig.client.postWrite(0, 0, [0, 0x11, 0, 0])
    let read = try twin.receive()
    try twin.send(11, read.payload + [1, 2, 3, 4], flags: 1, id: read.id)
    let write = try twin.receive()
    #expect(write.payload == Client.words(UInt64(0x1110), UInt64(4)) + [1, 2, 3, 4])
    try twin.send(12, Array(write.payload.prefix(16)), flags: 1, id: write.id)

    #expect(try rig.client.readRegion(0, 8, count: 4) == [1, 0, 0, 0])
  }

  @Test func aClientThatClosesOnlyTheTwinSocketIsCutOff() throws {
    let rig = try makeRig()
    let text = #"{"capabilities":{"max_msg_fds":8,"twin_socket":{"supported":true}}}"#
    var greeting = try rig.client.exchange(1, [0, 0, 0, 0] + Array(text.utf8) + [0])
    greeting.descriptors = DescriptorBatch()
    try prepare(rig.client)

    try rig.client.postWrite(0, 0, [0, 0x11, 0, 0])
    try rig.client.waitForEnd()

    #expect(rig.waitForLine("the socket for replies"))
  }

  @Test func refusalsReachTheDevice() throws {
    let rig = try makeRig()
    try rig.client.greet()
    try rig.client.writeRegion(0, 0, [0, 0x11, 0, 0])
    #expect(try rig.client.readRegion(0, 8, count: 4) == [2, 0, 0, 0])
    try prepare(rig.client)
    try rig.client.writeRegion(0, 0, [0, 0x21, 0, 0])
    #expect(try rig.client.readRegion(0, 8, count: 4) == [3, 0, 0, 0])

    try rig.client.postWrite(0, 0, [0, 0x11, 0, 0])
    let read = try rig.client.receive()
    try rig.client.sendBytes(
      Client.words(read.id, UInt16(11), UInt32(16), UInt32(0x21), UInt32(19))
    )
    #expect(try rig.client.readRegion(0, 8, count: 4) == [19, 1, 0, 0])
  }

  @Test func aClientThatDoesNotAnswerIsCutOff() throws {
    let rig = try makeRig(patience: 300_000_000)
    try rig.client.greet()
    try prepare(rig.client)

    try rig.client.postWrite(0, 0, [0, 0x11, 0, 0])
    try rig.client.waitForEnd()

    #expect(rig.waitForLine("no reply to DMA_READ"))
    try rig.reconnect()
    try rig.client.greet()
    #expect(try rig.client.readRegion(0, 8, count: 4) == [0, 0, 0, 0])
  }

  @Test(arguments: [11, 12, 4] as [UInt16])
  func aReplyToSomethingElseEndsTheConnection(command: UInt16) throws {
    let rig = try makeRig()
    try rig.client.greet()
    try prepare(rig.client)

    try rig.client.postWrite(0, 0, [0, 0x11, 0, 0])
    let read = try rig.client.receive()
    let id = command == 11 ? read.id &+ 1 : read.id
    try rig.client.send(command, read.payload + [1, 2, 3, 4], flags: 1, id: id)
    try rig.client.waitForEnd()

    #expect(rig.waitForLine("which was not asked"))
    #expect(rig.log.notices.count == 1)
  }

  @Test func aFloodWhileAReplyIsWaitedForEndsTheConnection() throws {
    let rig = try makeRig()
    try rig.client.greet()
    try prepare(rig.client)
    try rig.client.postWrite(0, 0, [0, 0x11, 0, 0])
    _ = try rig.client.receive()

    #expect(throws: Client.Failure.self) {
      while true { try rig.client.postWrite(7, 0, [UInt8](repeating: 0, count: 0x1000)) }
    }

    #expect(rig.waitForLine("too many requests while a reply is waited for"))
  }
}
