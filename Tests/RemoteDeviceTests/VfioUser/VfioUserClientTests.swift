import DeviceModel
import GuestMemory
import HostOS
import PCI
import Testing
import TestSupport

@testable import RemoteDevice

/// A guest's driver finds what a server has, and the server gets what it needs.
@Suite(.timeLimit(.minutes(5))) struct VfioUserClientTests {
  private let folder: TemporaryFolder
  private let path: String

  init() throws {
    folder = try TemporaryFolder()
    path = folder.path(of: "socket")
  }

  @Test func aGuestFindsTheFunctionWithoutWhatItCannotHave() throws {
    let server = try FakeVfioUserServer(at: path)
    defer { server.close() }
    let rig = try VfioUserBoardRig(at: path)
    #expect(rig.register(0) == 0x5678_1234)
    #expect(rig.register(8) == 0xFF00_0007)
    #expect(rig.register(0x2C) == 0x0002_0001)
    #expect(rig.register(0x3D, width: 1) == 1)
    // Sizes are those of the regions.
    rig.setRegister(0x10, 0xFFFF_FFFF)
    #expect(rig.register(0x10) == 0xFFFF_F000)
    rig.setRegister(0x18, 0xFFFF_FFFF)
    rig.setRegister(0x1C, 0xFFFF_FFFF)
    #expect(rig.register(0x18) == 0xFFFF_C00C)
    #expect(rig.register(0x1C) == 0xFFFF_FFFF)
    // The contents of capabilities are the server's, but those of MSI and MSI-X are ours.
    #expect(rig.register(0x34, width: 1) == 0x40)
    #expect(rig.register(0x40) == 0x0108_5009)
    #expect(rig.register(0x50) == 0x0182_7005)
    #expect(rig.register(0x44) == 0x0504_0302)
    #expect(rig.register(0x70) == 0x0002_0011)
    #expect(rig.register(0x74) == 2)
    #expect(rig.register(0x78) == 0x802)
  }

  @Test func theServerGetsTheGuestsMemory() throws {
    let server = try FakeVfioUserServer(at: path)
    defer { server.close() }
    let rig = try VfioUserBoardRig(at: path)
    let maps = server.held.withLock { $0.maps }
    #expect(maps.map(\.address) == [0, 1 << 32])
    #expect(maps.map(\.size) == [1 << 20, 1 << 20])
    #expect(maps.map(\.offset) == [0, 1 << 20])
    rig.function.stop()
    #expect(server.held.withLock { $0.maps }.isEmpty)
  }

  @Test(arguments: [1, 2, 4, 8])
  func registersBehindBARsAreTheServers(width: Int) throws {
    let server = try FakeVfioUserServer(at: path)
    defer { server.close() }
    let rig = try VfioUserBoardRig(at: path)
    rig.enable()
    let value = 0x8877_6655_4433_2211 & UInt64.max >> UInt64(64 - 8 * width)
    rig.space.write(value, VfioUserBoardRig.bar0 + 8, width: width)
    #expect(rig.space.read(VfioUserBoardRig.bar0 + 8, width: width) == value)
    #expect(
      server.requests.contains(
        .readRegion(VfioUserRegionAccess(offset: 8, region: 0, count: UInt32(width)))
      )
    )
  }

  /// The end of an interrupt goes another way, and finds the pin up if it is the quicker of the two.
  @Test func whatMayLowerThePinIsDoneBeforeTheGuestGoesOn() throws {
    let server = try FakeVfioUserServer(at: path)
    defer { server.close() }
    let rig = try VfioUserBoardRig(at: path)
    rig.enable()
    for value in UInt64(0)..<100 {
      rig.space.write(value, VfioUserBoardRig.bar0 + 8, width: 1)
      let access = VfioUserRegionAccess(offset: 8, region: 0, count: 1)
      #expect(server.requests.last == .writeRegion(access, [UInt8(value)]))
    }
  }

  /// As after a deadline at which a server took over at the last moment.
  @Test func aFunctionThatIsServedHasNotFailed() throws {
    let server = try FakeVfioUserServer(at: path)
    defer { server.close() }
    let rig = try VfioUserBoardRig(at: path)
    rig.enable()
    let function = try #require(rig.function as? VfioUserFunction)
    #expect(!function.fail())
    #expect(rig.register(0) == 0x5678_1234)
    rig.space.write(7, VfioUserBoardRig.bar0, width: 4)
    #expect(rig.space.read(VfioUserBoardRig.bar0, width: 4) == 7)
  }

  @Test func doorbellsFollowTheirBAR() throws {
    let server = try FakeVfioUserServer(at: path)
    defer { server.close() }
    let rig = try VfioUserBoardRig(at: path)
    #expect(rig.doorbells.attached.isEmpty)
    rig.enable()
    let first = VfioUserBoardRig.bar0 + FakeVfioUserServer.doorbell
    #expect(rig.doorbells.attached == [Doorbell(address: first, width: 2)])
    rig.setRegister(0x10, VfioUserBoardRig.bar0 + 0x10_0000)
    #expect(rig.doorbells.attached == [Doorbell(address: first + 0x10_0000, width: 2)])
    #expect(rig.doorbells.ring(address: first + 0x10_0000, width: 2))
    #expect(server.doorbell.drain() == 1)
    rig.setRegister(4, 0, width: 2)
    #expect(rig.doorbells.attached.isEmpty)
  }

  @Test func thePinIsTheServersUntilMSIXIsEnabled() throws {
    let server = try FakeVfioUserServer(at: path)
    defer { server.close() }
    let rig = try VfioUserBoardRig(at: path)
    rig.enable()
    let pin = try #require(rig.line.events)
    server.held.withLock { $0.level }?.signal()
    #expect(pin.event.drain() == 1)
    pin.resample.signal()
    #expect(server.held.withLock { $0.end }?.drain() == 1)

    // A vector's message, unmasked, and MSI-X enabled.
    rig.space.write(0xFEE0_0000, VfioUserBoardRig.bar2, width: 8)
    rig.space.write(0x41, VfioUserBoardRig.bar2 + 8, width: 8)
    rig.setRegister(0x72, 0x8000, width: 2)
    #expect(rig.line.events == nil)
    #expect(server.held.withLock { $0.level } == nil)
    let vectors = server.held.withLock { $0.vectors }
    #expect(vectors.keys.sorted() == [0, 1, 2])
    vectors[0]?.signal()
    #expect(rig.messages.made[0].deliveries == [InterruptMessage(address: 0xFEE0_0000, data: 0x41)])

    rig.setRegister(0x72, 0, width: 2)
    #expect(rig.line.events != nil)
    #expect(server.held.withLock { $0.vectors }.isEmpty)
    #expect(server.held.withLock { $0.level } != nil)
  }

  @Test func aServerWithFewerInterruptsThanItSaysHasNoMSI() throws {
    let server = try FakeVfioUserServer(at: path, messageCount: 1)
    defer { server.close() }
    let rig = try VfioUserBoardRig(at: path)
    #expect(rig.register(0x40) == 0x0108_7009)
    #expect(rig.function.msi == nil)
  }

  @Test(
    arguments: [
      [0x05, 0x70, 0x0C, 0], [0x05, 0x70, 0x0E, 0], [0x05, 0x54, 0x82, 1],
    ] as [[UInt8]]
  )
  func anMSIThatCannotBeIsRefused(_ bytes: [UInt8]) throws {
    let server = try FakeVfioUserServer(at: path) { registers in
      registers.replaceSubrange(0x50..<0x54, with: bytes)
      registers.replaceSubrange(0x54..<0x58, with: [0x09, 0x70, 8, 0])
    }
    defer { server.close() }
    #expect(throws: VfioUserError.self) { try VfioUserBoardRig(at: path) }
  }

  @Test func theServerSignalsByMSI() throws {
    let server = try FakeVfioUserServer(at: path)
    defer { server.close() }
    let rig = try VfioUserBoardRig(at: path)
    rig.enable()
    #expect(rig.line.events != nil)
    rig.setRegister(0x54, 0xFEE0_3000)
    rig.setRegister(0x5C, 0x60, width: 2)
    rig.setRegister(0x52, 0x11, width: 2)
    #expect(rig.line.events == nil)
    #expect(server.held.withLock { $0.level } == nil)
    let events = server.held.withLock { $0.messages }
    #expect(events.keys.sorted() == [0, 1])
    // MSI-X's are made first.
    let made = rig.messages.made.suffix(2).map { $0 }
    events[1]?.signal()
    #expect(made[1].deliveries == [InterruptMessage(address: 0xFEE0_3000, data: 0x61)])

    // What the guest programs anew, the server need not be told for: it goes on with the same eventfd.
    rig.setRegister(0x5C, 0x70, width: 2)
    events[1]?.signal()
    #expect(made[1].deliveries.last?.data == 0x71)
    rig.setRegister(0x60, 0b10)
    events[1]?.signal()
    #expect(made[1].deliveries.count == 2)
    #expect(rig.register(0x64) == 0b10)
    rig.setRegister(0x60, 0)
    #expect(made[1].deliveries.count == 3)

    rig.setRegister(0x52, 0, width: 2)
    #expect(rig.line.events != nil)
    #expect(server.held.withLock { $0.messages }.isEmpty)
  }

  @Test func aPinThatIsDisabledIsLetGoOf() throws {
    let server = try FakeVfioUserServer(at: path)
    defer { server.close() }
    let rig = try VfioUserBoardRig(at: path)
    rig.setRegister(4, 1 << 10, width: 2)
    // As at the end of an interrupt: the server asserts again if it may.
    #expect(server.held.withLock { $0.end }?.drain() == 1)
    #expect(rig.line.events != nil)
    #expect(
      server.requests.last
        == .writeRegion(
          VfioUserRegionAccess(offset: 4, region: 7, count: 2),
          [0, 4]
        )
    )
  }

  @Test func aServerThatTakesNoEventfdForEndsIsToldByMessage() throws {
    let refusing = try OldServer(at: path)
    defer { refusing.server.close() }
    let rig = try VfioUserBoardRig(at: path)
    let count = refusing.unmaskCount
    try #require(rig.line.events).resample.signal()
    let isTold = waitUntil { refusing.unmaskCount == count + 1 }
    #expect(isTold)
  }

  @Test(arguments: [false, true])
  func theServerReadsAndWritesMemoryByMessage(usesTwin: Bool) throws {
    let server = try FakeVfioUserServer(at: path, usesTwin: usesTwin)
    defer { server.close() }
    let rig = try VfioUserBoardRig(at: path)
    try rig.memory.write([1, 2, 3, 4], at: GuestAddress(0x1000))
    func ask(_ request: VfioUserRequest) throws -> (VfioUserHeader, [UInt8]) {
      let before = server.held.withLock { $0.replies.count }
      server.say(request.message(id: 77))
      let isThere = waitUntil { server.held.withLock { $0.replies.count } > before }
      #expect(isThere)
      return try #require(server.held.withLock { $0.replies.last })
    }
    let read = VfioUserRequest.readDMA(VfioUserDMAAccess(address: 0x1000, count: 4))
    // Not while the guest has not allowed it.
    #expect(try ask(read).0.isError)
    rig.enable()
    let (header, payload) = try ask(read)
    #expect(header.id == 77 && !header.isError && payload.suffix(4) == [1, 2, 3, 4])
    let write = VfioUserDMAAccess(address: (1 << 32) + 8, count: 2)
    #expect(try !ask(.writeDMA(write, [8, 9])).0.isError)
    #expect(try rig.memory.read(at: GuestAddress((1 << 32) + 8), count: 2) == [8, 9])
    // Neither beyond memory nor around the end of addresses.
    for address in [0xF_FFFF, 1 << 33, UInt64.max] as [UInt64] {
      let access = VfioUserDMAAccess(address: address, count: 4)
      #expect(try ask(.readDMA(access)).0.errorNumber == 14)
      #expect(try ask(.writeDMA(access, [1, 2, 3, 4])).0.errorNumber == 14)
    }
  }

  @Test func aResetOfTheMachineResetsTheDevice() throws {
    let server = try FakeVfioUserServer(at: path)
    defer { server.close() }
    let rig = try VfioUserBoardRig(at: path)
    rig.enable()
    rig.setRegister(0x72, 0x8000, width: 2)
    rig.bus.reset()
    #expect(server.requests.contains(.reset))
    #expect(rig.line.events != nil)
    #expect(server.held.withLock { $0.vectors }.isEmpty)
    #expect(rig.register(4, width: 2) == 0)
    #expect(rig.space.read(VfioUserBoardRig.bar0, width: 4) == 0xFFFF_FFFF)
  }

  @Test func oneBoardAfterTheOtherHasTheDevice() throws {
    let server = try FakeVfioUserServer(at: path)
    defer { server.close() }
    let rig = try VfioUserBoardRig(at: path)
    rig.enable()
    rig.function.stop()
    #expect(rig.line.events == nil)
    #expect(rig.doorbells.attached.isEmpty)
    let memory = try GuestMemory(count: 1 << 20)
    let line = RecordingResampledLine()
    let next = try rig.remote.makeFunction(
      RemoteWiring(
        memory: memory,
        line: line,
        messages: FakeMessageInterrupts(),
        doorbells: FakeDoorbells()
      )
    )
    #expect(server.held.withLock { $0.maps }.map(\.size) == [1 << 20])
    #expect(line.events != nil)
    #expect(next.readConfiguration(0, width: 4) == 0x5678_1234)
    #expect(server.held.withLock { $0.connections } == 1)
    next.stop()
  }

  /// With a second socket, one processor reads the answers to others, too.
  @Test(arguments: [false, true])
  func severalProcessorsReachTheFunctionAtOnce(usesTwin: Bool) throws {
    let server = try FakeVfioUserServer(at: path, usesTwin: usesTwin)
    defer { server.close() }
    let rig = try VfioUserBoardRig(at: path)
    rig.enable()
    let threads = try (0..<4).map { number in
      try TestThread { [space = rig.space] in
        let address = VfioUserBoardRig.bar0 + 16 * UInt64(number)
        for value in 0..<200 as Range<UInt64> {
          space.write(value, address, width: 4)
          #expect(space.read(address, width: 4) == value)
        }
      }
    }
    for thread in threads { thread.join() }
    #expect(rig.log.notices.isEmpty)
  }
}

/// A server that refuses an eventfd for the ends of interrupts.
private final class OldServer {
  let server: FakeVfioUserServer

  init(at path: String) throws {
    server = try FakeVfioUserServer(at: path, refusesEnds: true)
  }

  /// How often it was told to unmask the pin.
  var unmaskCount: Int {
    server.requests.count { request in
      guard case .setInterrupts(let set, false) = request else { return false }
      return set.action == .unmask && set.index == 0 && set.data == .none
    }
  }
}
