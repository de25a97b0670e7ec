import GuestMemory
import HostOS
import PCI
import Testing
import TestSupport

@testable import RemoteDevice

/// A server that is gone, or breaks the protocol, harms nobody but its own function.
@Suite(.timeLimit(.minutes(5))) struct HostileVfioUserServerTests {
  private let folder: TemporaryFolder
  private let path: String

  init() throws {
    folder = try TemporaryFolder()
    path = folder.path(of: "socket")
  }

  @Test func aServerThatDiesLeavesOnesAndAnotherStartsFromPowerOn() throws {
    let server = try FakeVfioUserServer(at: path)
    let rig = try VfioUserBoardRig(at: path)
    rig.enable()
    rig.setRegister(0x72, 0x8000, width: 2)
    server.close()
    #expect(rig.waitForLine("server gone"))
    let isGone = waitUntil { rig.register(0) == 0xFFFF_FFFF }
    #expect(isGone)
    #expect(rig.space.read(VfioUserBoardRig.bar0, width: 4) == 0xFFFF_FFFF)
    rig.space.write(1, VfioUserBoardRig.bar0, width: 4)
    rig.setRegister(4, 0b110, width: 2)
    #expect(rig.line.events == nil)
    let isQuiet = waitUntil { rig.doorbells.attached.isEmpty }
    #expect(isQuiet)

    let next = try FakeVfioUserServer(at: path)
    defer { next.close() }
    #expect(rig.waitForLine("another server"))
    #expect(rig.register(0) == 0x5678_1234)
    #expect(next.held.withLock { $0.maps.count } == 2)
    #expect(rig.line.events != nil)
    // As at power-on: nothing answers before the guest says where.
    #expect(rig.register(4, width: 2) == 0)
    #expect(rig.register(0x72, width: 2) == 2)
    #expect(rig.space.read(VfioUserBoardRig.bar0, width: 4) == 0xFFFF_FFFF)
    rig.enable()
    rig.space.write(7, VfioUserBoardRig.bar0, width: 4)
    #expect(rig.space.read(VfioUserBoardRig.bar0, width: 4) == 7)
    #expect(rig.doorbells.attached.count == 1)
    #expect(rig.log.notices.count == 2)
  }

  @Test func anotherFunctionAtTheSameSocketIsNotTaken() throws {
    let server = try FakeVfioUserServer(at: path)
    let rig = try VfioUserBoardRig(at: path)
    server.close()
    #expect(rig.waitForLine("server gone"))
    let next = try FakeVfioUserServer(at: path) { $0[2] = 0x79 }
    #expect(rig.waitForLine("it does not offer the function that the one before it had"))
    #expect(rig.register(0) == 0xFFFF_FFFF)
    next.close()
  }

  typealias Answer = FakeVfioUserServer.Answer

  private static func words(_ words: UInt32...) -> [UInt8] {
    var bytes = NativeBytes()
    for word in words { bytes.append(word) }
    return bytes.array
  }

  private static func version(_ text: String, major: UInt16 = 0) -> [UInt8] {
    var bytes = NativeBytes()
    bytes.append(major)
    bytes.append(UInt16(0))
    bytes.append(text.utf8)
    return bytes.array
  }

  // Made anew for each use: the address sanitizer does not see what such a list holds, and takes one that is kept for a leak.
  private static var greetings: [(VfioUserCommand, Answer)] {
    [
      (.version, .payload([])),
      (.version, .payload(version("{}\0", major: 1))),
      (.version, .payload(version("{}"))),
      (.version, .payload(version("{\0"))),
      (.version, .payload(version("[]\0"))),
      (.version, .payload(version("{\"capabilities\":{\"max_msg_fds\":0}}\0"))),
      (.version, .payload(version("{\"capabilities\":{\"max_data_xfer_size\":1}}\0"))),
      (
        .version,
        .payload(
          version("{\"capabilities\":{\"twin_socket\":{\"supported\":true,\"fd_index\":0}}}\0")
        )
      ),
      (
        .version,
        .descriptors(
          version("{\"capabilities\":{\"twin_socket\":{\"supported\":true,\"fd_index\":0}}}\0"),
          1
        )
      ),
      (.version, .descriptors(version("{}\0"), 2)),
      (.version, .raw([UInt8](repeating: 0xFF, count: 64))),
      (.version, .raw([0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0])),
      (.version, .refusal(22)),
      (.version, .end),
      (.version, .twice),
      (.getInfo, .payload(words(16, 1, 9, 5))),
      (.getInfo, .payload(words(16, 3, 7, 5))),
      (.getInfo, .payload(words(16, 3, .max, 5))),
      (.getInfo, .payload(words(16, 3, 9, .max))),
      (.getInfo, .payload(words(16, 3, 9))),
      (.getInfo, .descriptors(words(16, 3, 9, 5), 1)),
      (.getRegionInfo, .payload(words(32, 3, 3, 0, 0x100, 0, 0, 0))),
      (.getRegionInfo, .payload(words(32, 3, 7, 0, 4, 0, 0, 0))),
      (.getRegionInfo, .descriptors(words(32, 3, 7, 0, 0x100, 0, 0, 0), 2)),
      (.getIRQInfo, .payload(words(16, 1, 4, 1))),
      (.readRegion, .payload(words(0, 0, 7, 256))),
      (.readRegion, .payload(words(0, 0, 7, 4, 0))),
      (.readRegion, .refusal(5)),
      (.mapDMA, .refusal(12)),
      (.mapDMA, .payload([1])),
      (.setIRQs, .payload([1])),
      (.getRegionIOFDs, .payload(words(56, 0, 0, 1))),
      (
        .getRegionIOFDs,
        .descriptors(words(56, 0, 0, 1, 0, 0, 4, 0, 1, 0, 0, 0, 0, 0), 1)
      ),
      (
        .getRegionIOFDs,
        .descriptors(words(56, 0, 0, 1, 0xFFE, 0, 4, 0, 0, 0, 0, 0, 0, 0), 1)
      ),
      (
        .getRegionIOFDs,
        .descriptors(words(56, 0, 0, 1, 0xFFFF_FFFF, 0xFFFF_FFFF, 4, 0, 0, 0, 0, 0, 0, 0), 1)
      ),
      (
        .getRegionIOFDs,
        .descriptors(words(56, 0, 0, 1, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0), 1)
      ),
      (.getRegionIOFDs, .pipe(words(56, 0, 0, 1, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0))),
      (.getRegionIOFDs, .descriptors(words(16, 0, 0, 0), 33)),
      (.getRegionIOFDs, .payload(words(16, 0, 5, 0))),
    ]
  }

  @Test(arguments: greetings)
  func aServerThatIsNoGoodIsRefusedAtTheStart(command: VfioUserCommand, answer: Answer) throws {
    let server = try FakeVfioUserServer(at: path, [command: answer])
    defer { server.close() }
    #expect(throws: VfioUserError.self) { try VfioUserBoardRig(at: path) }
  }

  private static let layouts: [([UInt64], @Sendable (inout [UInt8]) -> Void)] = [
    // Sizes that no BAR can have.
    ([1 << 32, 0, 0x4000, 0, 0, 0], { _ in }),
    ([.max, 0, 0x4000, 0, 0, 0], { _ in }),
    ([0x1000, 0, .max, 0, 0, 0], { _ in }),
    // A second half that is a BAR of its own; one without a second half.
    ([0x1000, 0, 0x4000, 16, 0, 0], { _ in }),
    ([0x1000, 0, 0x4000, 0, 0, 16], { $0[0x24] = 4 }),
    // MSI-X beyond its BAR, in none, over its own pending bits, at the end of the registers.
    ([0x1000, 0, 16, 0, 0, 0], { _ in }),
    ([0x1000, 0, 0x4000, 0, 0, 0], { $0[0x74] = 3 }),
    (
      [0x1000, 0, 0x4000, 0, 0, 0],
      {
        $0[0x78] = 2; $0[0x79] = 0
      }
    ),
    (
      [0x1000, 0, 0x4000, 0, 0, 0],
      {
        $0[0x77] = 0xFF; $0[0x7B] = 0xFF
      }
    ),
    (
      [0x1000, 0, 0x4000, 0, 0, 0],
      {
        $0[0x51] = 0xF8; $0[0xF8] = 0x11
      }
    ),
    // More vectors than there are interrupts.
    (
      [0x1000, 0, 0x4000, 0, 0, 0],
      {
        $0[0x72] = 0xFF; $0[0x73] = 7; $0[0x79] = 0x80
      }
    ),
    // Lists of capabilities that end nowhere, or in the header.
    ([0x1000, 0, 0x4000, 0, 0, 0], { $0[0x71] = 0x40 }),
    ([0x1000, 0, 0x4000, 0, 0, 0], { $0[0x71] = 0x10 }),
    // No function, a bridge, a pin that there is not.
    (
      [0x1000, 0, 0x4000, 0, 0, 0],
      {
        $0[0] = 0xFF; $0[1] = 0xFF
      }
    ),
    ([0x1000, 0, 0x4000, 0, 0, 0], { $0[0x0E] = 1 }),
    ([0x1000, 0, 0x4000, 0, 0, 0], { $0[0x3D] = 5 }),
  ]

  @Test(arguments: layouts.indices)
  func aFunctionThatCannotBeIsRefusedAtTheStart(index: Int) throws {
    let (sizes, change) = Self.layouts[index]
    let server = try FakeVfioUserServer(at: path, sizes: sizes, change: change)
    defer { server.close() }
    #expect(throws: VfioUserError.self) { try VfioUserBoardRig(at: path) }
  }

  @Test func aRegionOfAnySizeIsInTheNextLargerBAR() throws {
    let server = try FakeVfioUserServer(
      at: path,
      [.getRegionIOFDs: .refusal(95)],
      sizes: [0x30, 0, 0x4000, 0, 0, 0]
    )
    defer { server.close() }
    let rig = try VfioUserBoardRig(at: path)
    rig.setRegister(0x10, 0xFFFF_FFFF)
    #expect(rig.register(0x10) == 0xFFFF_FFC0)
    rig.setRegister(0x10, VfioUserBoardRig.bar0)
    rig.enable()
    #expect(rig.space.read(VfioUserBoardRig.bar0 + 0x2C, width: 4) == 0)
    // Beyond the region nobody is asked.
    let count = server.requests.count
    #expect(rig.space.read(VfioUserBoardRig.bar0 + 0x30, width: 4) == 0xFFFF_FFFF)
    #expect(rig.space.read(VfioUserBoardRig.bar0 + 0x2E, width: 4) == 0xFFFF_FFFF)
    rig.space.write(1, VfioUserBoardRig.bar0 + 0x30, width: 4)
    #expect(server.requests.count == count)
  }

  @Test func aServerThatDoesNotAnswerIsCutOff() throws {
    let server = try FakeVfioUserServer(at: path, [.reset: .silence])
    defer { server.close() }
    let rig = try VfioUserBoardRig(at: path, patience: 1)
    rig.bus.reset()
    #expect(rig.waitForLine("server cut off: no reply to DEVICE_RESET within 1 s"))
    #expect(rig.register(0) == 0xFFFF_FFFF)
  }

  @Test(arguments: [
    VfioUserHeader(replyTo: VfioUserHeader(.reset, id: 900, payloadCount: 0), payloadCount: 0)
      .bytes,
    VfioUserHeader(.reset, id: 1, payloadCount: 0).bytes,
    VfioUserHeader(.readDMA, id: 1, payloadCount: 3).bytes + [1, 2, 3],
    [UInt8](repeating: 0xEE, count: 16),
    VfioUserHeader(.writeDMA, id: 1, payloadCount: 1 << 24).bytes,
    VfioUserRequest.readDMA(VfioUserDMAAccess(address: 0, count: 1 << 40)).message(id: 1),
  ])
  func aServerThatSaysWhatNobodyCanIsCutOff(bytes: [UInt8]) throws {
    let server = try FakeVfioUserServer(at: path)
    defer { server.close() }
    let rig = try VfioUserBoardRig(at: path)
    server.say(bytes)
    #expect(rig.waitForLine("server cut off"))
  }

  @Test func aMessageThatStaysUnfinishedEndsTheConnection() throws {
    let server = try FakeVfioUserServer(at: path)
    defer { server.close() }
    let rig = try VfioUserBoardRig(at: path, patience: 1)
    server.say([1, 2, 3])
    #expect(rig.waitForLine("server cut off: 3 bytes of a message, and nothing more for 1 s"))
  }

  /// A processor that waits for its own answer could not serve it.
  @Test func aRequestOverTheFirstSocketOfTwoEndsTheConnection() throws {
    let request = VfioUserRequest.readDMA(VfioUserDMAAccess(address: 0, count: 4)).message(id: 9)
    let server = try FakeVfioUserServer(at: path, [.writeRegion: .raw(request)], usesTwin: true)
    defer { server.close() }
    let rig = try VfioUserBoardRig(at: path)
    rig.enable()
    rig.space.write(1, VfioUserBoardRig.bar0, width: 4)
    #expect(rig.space.read(VfioUserBoardRig.bar0, width: 4) == 0xFFFF_FFFF)
    #expect(rig.waitForLine("over the first socket, not the second"))
  }

  @Test func aServerThatRefusesAnAccessIsNotCutOff() throws {
    let server = try FakeVfioUserServer(at: path, [.reset: .refusal(5)])
    defer { server.close() }
    let rig = try VfioUserBoardRig(at: path)
    rig.bus.reset()
    #expect(rig.waitForLine("DEVICE_RESET refused: Input/output error (errno 5)"))
    #expect(rig.register(0) == 0x5678_1234)
  }
}

/// Descriptors of the whole process are counted: nothing else runs meanwhile.
@Suite(.serialized, .timeLimit(.minutes(5))) struct VfioUserLeakTests {
  @Test func nothingIsLeftOfServersThatCameAndWent() throws {
    let folder = try TemporaryFolder()
    let path = folder.path(of: "socket")
    func round() throws {
      let server = try FakeVfioUserServer(at: path, usesTwin: true)
      let rig = try VfioUserBoardRig(at: path)
      rig.enable()
      rig.setRegister(0x72, 0x8000, width: 2)
      server.close()
      #expect(rig.waitForLine("server gone"))
      rig.function.stop()
    }
    try round()
    let before = openDescriptorCount()
    for _ in 0..<40 { try round() }
    // Other suites of this process may have some open; one a round would be more.
    let isSame = waitUntil { openDescriptorCount() <= before + 30 }
    #expect(isSame)
  }
}
