import RemoteDevice
import TestSupport
import Testing
import Virtio

/// Back ends that break the protocol.
@Suite(.timeLimit(.minutes(10))) struct HostileBackEndTests {
  /// What a back end answers to a request, and what is to be said of it.
  struct Case: Sendable, CustomTestStringConvertible {
    let request: UInt32
    let answer: FakeBackEnd.Answer
    let line: String
    var testDescription: String { "\(request): \(line)" }

    init(_ request: UInt32, _ answer: FakeBackEnd.Answer, _ line: String) {
      self.request = request
      self.answer = answer
      self.line = line
    }
  }

  private static let zero = [UInt8](repeating: 0, count: 8)

  @Test(arguments: [
    Case(1, .bytes(VhostUserFrontEnd.words(UInt64(1 << 30))), "does not offer VIRTIO_F_VERSION_1"),
    Case(1, .bytes([1, 2, 3]), "GET_FEATURES with 3 bytes, not 8"),
    Case(
      1,
      .raw(15, flags: 5, size: 8, zero),
      "message 15 with flags 0x5 in place of the reply to GET_FEATURES"
    ),
    Case(1, .raw(1, flags: 1, size: 8, zero), "message 1 with flags 0x1 in place"),
    Case(1, .raw(1, flags: 5, size: .max, zero), "GET_FEATURES with 4294967295 bytes"),
    Case(1, .descriptors(zero, 1), "GET_FEATURES with 1 descriptors, not 0"),
    Case(1, .silence, "no reply to GET_FEATURES within 1 s"),
    Case(1, .end, "the connection ended"),
    Case(15, .bytes(zero), "does not offer the protocol feature CONFIG"),
    Case(17, .bytes(zero), "GET_QUEUE_NUM: 0 queues"),
    Case(16, .bytes(VhostUserFrontEnd.words(UInt64(7))), "GET_QUEUE_NUM"),
    Case(24, .bytes([]), "GET_CONFIG with 0 bytes, not 69"),
    Case(24, .bytes([UInt8](repeating: 1, count: 69)), "16843009 bytes at 16843009"),
    Case(3, .bytes(VhostUserFrontEnd.words(UInt64(9))), "SET_OWNER refused with 9"),
  ])
  func whoGreetsBadlyIsNotConnectedTo(_ which: Case) throws {
    let folder = try TemporaryFolder()
    let path = folder.path(of: "s")
    let backEnd = try FakeBackEnd(at: path, [which.request: which.answer])
    defer { backEnd.close() }

    do {
      _ = try RemoteRig(.block, at: path, patience: 1)
      Issue.record("it was connected to")
    } catch {
      #expect("\(error)".contains(which.line), "\(error)")
    }
  }

  @Test(arguments: [
    Case(
      31,
      .descriptors([UInt8](repeating: 0, count: 24), 1),
      "GET_INFLIGHT_FD with an eventfd or the like, not a memory file"
    ),
    Case(31, .bytes([UInt8](repeating: 0, count: 24)), "GET_INFLIGHT_FD with 0 descriptors, not 1"),
    Case(
      31,
      .descriptors([UInt8](repeating: 0, count: 24), 3),
      "GET_INFLIGHT_FD with 3 descriptors, not 1"
    ),
    Case(5, .silence, "no reply to SET_MEM_TABLE within 1 s"),
    Case(5, .end, "the connection ended"),
    Case(8, .more, "message 0"),
  ])
  func whoStartsBadlyIsCutOffAndRequestsWaitForAnother(_ which: Case) throws {
    let folder = try TemporaryFolder()
    let path = folder.path(of: "s")
    let backEnd = try FakeBackEnd(at: path, [which.request: which.answer])
    let rig = try RemoteRig(.block, at: path, patience: 1)

    try rig.start()

    #expect(rig.waitForLine("requests wait for another"))
    #expect(which.line == "message 0" || rig.waitForLine(which.line), "\(rig.log.lines)")
    #expect(rig.controller.status.rawValue & 64 == 0)
    backEnd.close()
    let file = try folder.file("disk", [UInt8](repeating: 7, count: 1 << 16))
    let better = try ServedDevice(
      Block(DiskImage(opening: file, readOnly: false), name: "disk"),
      at: path
    )
    #expect(try rig.readSector(1) == 7)
    withExtendedLifetime(better) {}
  }

  @Test func whoRefusesToStartHasTheDeviceNeedAReset() throws {
    let folder = try TemporaryFolder()
    let path = folder.path(of: "s")
    let backEnd = try FakeBackEnd(at: path, [2: .bytes(VhostUserFrontEnd.words(UInt64(1)))])
    defer { backEnd.close() }
    let rig = try RemoteRig(.entropy, at: path, patience: 1)

    try rig.start()

    #expect(rig.controller.status.rawValue & 64 != 0)
    #expect(rig.waitForLine("SET_FEATURES refused with 1"))
  }

  @Test func whoDoesNotStopIsCutOffWithinItsTime() throws {
    let folder = try TemporaryFolder()
    let path = folder.path(of: "s")
    let backEnd = try FakeBackEnd(
      at: path,
      [11: .silence, 31: .bytes([]), 15: .bytes(VhostUserFrontEnd.words(UInt64(9)))]
    )
    defer { backEnd.close() }
    let rig = try RemoteRig(.entropy, at: path, patience: 1)
    try rig.start()
    #expect(rig.controller.status.rawValue & 64 == 0)

    rig.controller.writeStatus(0)

    #expect(rig.controller.status.rawValue == 0)
    #expect(rig.waitForLine("no reply to GET_VRING_BASE within 1 s"))
  }

  @Test func whatNobodyAskedForEndsTheConnection() throws {
    let folder = try TemporaryFolder()
    let path = folder.path(of: "s")
    let backEnd = try FakeBackEnd(
      at: path,
      [18: .more, 15: .bytes(VhostUserFrontEnd.words(UInt64(9)))]
    )
    defer { backEnd.close() }
    let rig = try RemoteRig(.entropy, at: path, patience: 1)
    try rig.start()
    #expect(rig.waitForLine("a message that answers nothing; requests wait"))
  }

  @Test func whoChangesAllTheTimeIsAskedTenTimesASecond() throws {
    let folder = try TemporaryFolder()
    let path = folder.path(of: "s")
    let start = ContinuousClock.now
    let backEnd = try FakeBackEnd(
      at: path,
      [15: .bytes(VhostUserFrontEnd.words(FakeBackEnd.talkative))],
      floods: true
    )
    defer { backEnd.close() }
    let rig = try RemoteRig(.block, at: path)
    try rig.start()

    // GET_CONFIG: once in the greeting, once for the first change, then every 100 ms.
    #expect(waitUntil { backEnd.requests.count { $0 == 24 } >= 7 })

    #expect(start.duration(to: .now) >= .milliseconds(500))
    #expect(!rig.log.lines.contains { $0.contains("cut off") }, "\(rig.log.lines)")
  }
}
