import CLinux
import DeviceModel
import Glibc
import GuestMemory
import HostOS
import PCI
import Testing
import TestSupport

@testable import RemoteDevice

/// Memory of a device's that the guest reaches without the server (regions that can be mapped).
@Suite(.timeLimit(.minutes(5))) struct VfioUserAreaTests {
  typealias Client = VfioUserTestClient
  typealias Answer = FakeVfioUserServer.Answer

  /// A question for a region, with room for so much.
  private static func question(_ region: UInt32, room: UInt32) -> [UInt8] {
    Client.words(room, UInt32(0), region, UInt32(0), UInt64(0), UInt64(0))
  }

  @Test func aClientIsToldWhatItCanMap() throws {
    let rig = try VfioUserRig { try FrameDevice.model.makeFunction($0) }
    try rig.client.greet()
    // Two areas: 32 bytes, 16 of the capability, and 16 for each.
    var answer = try rig.client.exchange(5, Self.question(0, room: 200))
    #expect(
      answer.payload
        == Client.words(
          UInt32(80),
          UInt32(15),
          UInt32(0),
          UInt32(32),
          UInt64(0x1_0000),
          UInt64(0),
          UInt16(1),
          UInt16(1),
          UInt32(0),
          UInt32(2),
          UInt32(0),
          UInt64(0x1000),
          UInt64(0x2000),
          UInt64(0x8000),
          UInt64(0x1000)
        )
    )
    guard let file = answer.descriptors.takeFirst() else {
      Issue.record("no file")
      return
    }
    #expect(answer.descriptors.count == 0)
    #expect(apus_is_size_sealed(file.rawValue) == 1)
    // What is written there is what the device finds, and the other way round.
    #expect(pwrite(file.rawValue, [0x77], 1, 0x1000) == 1)
    #expect(try rig.client.readRegion(0, 0, count: 1) == [0x77])
    try rig.client.writeRegion(0, 0, [0x66])
    var byte = [UInt8](repeating: 0, count: 1)
    #expect(pread(file.rawValue, &byte, 1, 0x8000) == 1)
    #expect(byte == [0x66])
    // By message, too, also across the end of an area.
    #expect(try rig.client.readRegion(0, 0x1000, count: 1) == [0x77])
    #expect(try rig.client.readRegion(0, 0x2FFC, count: 8).count == 8)

    // All of a region: no areas are named. Without room, how much it takes, and nothing to map.
    let whole = try rig.client.exchange(5, Self.question(2, room: 32))
    #expect(whole.payload.count == 32 && whole.descriptors.count == 1)
    #expect(Client.word(whole.payload, at: 4, as: UInt32.self) == 7)
    let short = try rig.client.exchange(5, Self.question(0, room: 79))
    #expect(short.payload.count == 32 && short.descriptors.count == 0)
    #expect(Client.word(short.payload, at: 0, as: UInt32.self) == 80)
    #expect(Client.word(short.payload, at: 4, as: UInt32.self) == 11)
    let table = try rig.client.exchange(5, Self.question(1, room: 200))
    #expect(Client.word(table.payload, at: 4, as: UInt32.self) == 3 && table.descriptors.count == 0)
  }

  @Test func anAuthorsDeviceSignalsByMSI() throws {
    let model = CopyingDevice.model.profile
    let rig = try VfioUserRig { wiring in
      let profile = PCIDeviceProfile(
        "copier",
        model.identity,
        regions: model.regions,
        vectorCount: 4,
        messageKind: .msi
      )
      return try PCIDeviceModel(profile) { CopyingDevice($0) }.makeFunction(wiring)
    }
    let client = rig.client
    try client.greet()
    for (kind, count) in [(1, 4), (2, 0)] as [(UInt32, UInt32)] {
      let info = try client.ask(7, Client.words(UInt32(16), UInt32(0), kind, UInt32(0)))
      #expect(info == Client.words(UInt32(16), UInt32(1), kind, count))
    }
    let events = try (0..<4).map { _ in try EventFD() }
    try client.ask(8, Client.interrupts(0x24, 1, count: 4), descriptors: events.map(\.rawValue))
    #expect(throws: Client.Failure.refused(UInt32(EINVAL))) {
      try client.ask(8, Client.interrupts(0x24, 1, start: 4))
    }
    let place = try client.readRegion(7, 0x34, count: 1)[0]
    #expect(try client.readRegion(7, UInt64(place), count: 1) == [5])
    try client.writeRegion(0, 0x18, [1, 0, 0, 0])
    #expect(events[1].drain() == 0)
    // Enabled, with all four.
    try client.writeRegion(7, UInt64(place) + 2, [0x21, 0])
    try client.writeRegion(0, 0x18, [1, 0, 0, 0])
    #expect(waitUntil { events[1].drain() == 1 })
    // Taken away, and given back: what came meanwhile is told.
    try client.ask(8, Client.interrupts(0x21, 1, count: 0))
    try client.ask(8, Client.interrupts(0x24, 1, count: 4), descriptors: events.map(\.rawValue))
    try client.writeRegion(0, 0x18, [1, 0, 0, 0])
    #expect(waitUntil { events[1].drain() == 1 })
  }

  @Test func aGuestReachesItWithoutTheServer() throws {
    let folder = try TemporaryFolder()
    let path = folder.path(of: "socket")
    let (stop, log) = (try EventFD(), RecordedLog())
    let endpoint = HandedEndpoint(try PeerEndpoint(path: path))
    let server = try TestThread {
      guard let endpoint = endpoint.take() else { return }
      try? VfioUserServer(FrameDevice.model, logger: log.makeLogger()).run(
        endpoint,
        until: stop.rawValue
      )
    }
    defer {
      stop.signal()
      server.join()
    }
    let rig = try VfioUserBoardRig(at: path)
    #expect(rig.mapper.places == [])
    rig.enable()
    let bases = rig.bus.placements(at: VfioUserBoardRig.address)
    let (first, second) = (try #require(bases[0]), try #require(bases[2]))
    #expect(
      Set(rig.mapper.places) == [
        first + 0x1000..<first + 0x3000, first + 0x8000..<first + 0x9000, second..<second + 0x2000,
      ]
    )
    #expect(rig.mapper.write([0x12], at: first + 0x1000))
    #expect(rig.space.read(first, width: 1) == 0x12)
    rig.space.write(0x34, first, width: 1)
    // Behind the write, which is posted.
    #expect(rig.space.read(first, width: 1) == 0x12)
    #expect(rig.mapper.read(first + 0x8000, count: 1) == [0x34])
    #expect(rig.space.read(first + 0x8000, width: 1) == 0x34)

    rig.setRegister(0x10, first + 0x80_0000)
    #expect(rig.mapper.read(first + 0x8000, count: 1) == nil)
    #expect(rig.mapper.read(first + 0x80_8000, count: 1) == [0x34])
    rig.setRegister(4, 0, width: 2)
    #expect(rig.mapper.places == [])
    rig.enable()
    #expect(rig.mapper.places.count == 3)
    rig.function.stop()
    #expect(rig.mapper.places == [])
  }

  /// What a server says of region 0, which has 0x10000 bytes.
  private static func region(
    flags: UInt32 = 15,
    offset: UInt64 = 0,
    _ areas: (UInt64, UInt64)...
  ) -> [UInt8] {
    var bytes = NativeBytes()
    VfioUserRegionInfo(
      index: 0,
      argumentSize: UInt32(VfioUserRegionInfo.count(areas: areas.count)),
      flags: flags,
      size: 0x1_0000,
      offset: offset,
      areas: areas.map { VfioUserRegionInfo.Area(offset: $0, size: $1) }
    ).append(to: &bytes)
    return bytes.array
  }

  static let bad: [(answer: [UInt8], isBreach: Bool)] = [
    (region((0x800, 0x1000)), true), (region((0, 0x1800)), true), (region((0xF000, 0x2000)), true),
    (region((0x1000, 0x2000), (0x2000, 0x1000)), true), (region((.max - 0xFFF, 0x1000)), true),
    (region(offset: 0x10, (0, 0x1000)), true), (region(offset: .max - 0xFFF, (0, 0x1000)), true),
    // Beyond the file, which has a page less.
    (region((0xF000, 0x1000)), false), (region(offset: 0x1_0000, (0, 0x1000)), false),
  ]

  @Test(arguments: bad.indices, [true, false])
  func whatCannotBeMappedIsNot(_ index: Int, _ isSealed: Bool) throws {
    let folder = try TemporaryFolder()
    let path = folder.path(of: "socket")
    let (answer, isBreach) = Self.bad[index]
    let file = try Self.file(isSealed: isSealed)
    let server = try FakeVfioUserServer(
      at: path,
      sizes: [0x1_0000, 0, 0x4000, 0, 0, 0],
      maps: (file, answer)
    )
    defer { server.close() }
    guard isBreach else {
      let rig = try VfioUserBoardRig(at: path)
      rig.enable()
      #expect(rig.mapper.places == [])
      #expect(rig.waitForLine("not mapped"))
      #expect(rig.register(0) == 0x5678_1234)
      return
    }
    #expect(throws: VfioUserError.self) { try VfioUserBoardRig(at: path) }
  }

  @Test(arguments: [true, false])
  func aFileThatCanBeCutShortIsNotMapped(_ isSealed: Bool) throws {
    let folder = try TemporaryFolder()
    let path = folder.path(of: "socket")
    let server = try FakeVfioUserServer(
      at: path,
      sizes: [0x1_0000, 0, 0x4000, 0, 0, 0],
      maps: (try Self.file(isSealed: isSealed), Self.region((0x1000, 0x2000)))
    )
    let rig = try VfioUserBoardRig(at: path)
    rig.enable()
    #expect(rig.mapper.places.count == (isSealed ? 1 : 0))
    #expect(isSealed || rig.waitForLine("can be cut short"))
    // It goes with the server.
    server.close()
    #expect(waitUntil { rig.mapper.places.isEmpty })
  }

  private static func file(isSealed: Bool) throws -> KeptFile {
    let number = apus_memfd_create("memory", UInt32(MFD_ALLOW_SEALING | MFD_CLOEXEC))
    try #require(number >= 0 && ftruncate(number, 0xF000) == 0)
    if isSealed { try #require(apus_seal_size(number) == 0) }
    return KeptFile(OwnedFileDescriptor(adopting: number))
  }
}

/// A file that several threads may send.
final class KeptFile: Sendable {
  private let file: OwnedFileDescriptor
  init(_ file: consuming OwnedFileDescriptor) { self.file = file }
  var rawValue: Int32 { file.rawValue }
}
