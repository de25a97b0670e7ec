import DeviceModel
import Glibc
import GuestMemory
import HostOS
import PCI
import Synchronization
import Testing
import TestSupport

@testable import RemoteDevice

/// What is recorded of a device's connection, and what becomes of it when it is replayed.
@Suite(.timeLimit(.minutes(5))) struct RecordingTests {
  typealias Way = AuthorDeviceRig.Way

  private let folder: TemporaryFolder
  private let path: String

  init() throws {
    folder = try TemporaryFolder()
    path = folder.path(of: "recording")
  }

  /// Records a guest's use of a device.
  private func record(_ way: Way) throws {
    let log = RecordedLog()
    let recorder = try MessageRecorder(path: path, logger: log.makeLogger())
    try use(try AuthorDeviceRig(way, recorder: recorder))
    recorder.finish()
  }

  private func use(_ rig: consuming AuthorDeviceRig) throws {
    rig.write(0x1122_3344, 0, 4)
    #expect(rig.read(0, 4) == 0x1122_3344)
    try rig.memory.write([1, 2, 3, 4], at: GuestAddress(0x1000))
    for (value, offset) in [(0x1000, 0), (0, 4), (0x2000, 8), (0, 0xC), (4, 0x10)]
      as [(UInt64, UInt64)]
    {
      rig.write(value, offset, 4)
    }
    #expect(rig.read(0x14, 4) == 1)
    rig.write(0x77, 1, 1, bar: 2)
    #expect(rig.read(1, 1, bar: 2) == 0x77)
  }

  private func reader(_ bytes: [UInt8]? = nil) throws -> RecordingReader {
    if let bytes { _ = try folder.file("recording", bytes) }
    return try RecordingReader(OwnedFileDescriptor(opening: path, 0))
  }

  private func records() throws -> [RecordingReader.Record] {
    var reader = try reader()
    var records: [RecordingReader.Record] = []
    while let record = try reader.next() { records.append(record) }
    return records
  }

  /// Replays the recording to a device of `model`.
  private func replay(_ way: Way, _ model: PCIDeviceModel) throws -> Int {
    let pair = try SocketPair()
    let far = KeptDescriptor(try pair.far.duplicated())
    let stop = try EventFD()
    let server = try TestThread {
      let logger = RecordedLog().makeLogger()
      guard let socket = try? OwnedFileDescriptor(duplicating: far.rawValue) else { return }
      if way == .mpqemu {
        try? MPQEMUServer.make(model, logger: logger).run(socket, until: stop.rawValue)
      } else {
        try? VfioUserServer(model, logger: logger).run(.connection(socket), until: stop.rawValue)
      }
    }
    defer {
      stop.signal()
      server.join()
    }
    return try replay(to: pair.near.duplicated())
  }

  private func replay(to socket: consuming OwnedFileDescriptor) throws -> Int {
    var reader = try reader()
    let connection = try Replay.find(nil, in: &reader)
    return try Replay.run(connection, from: &reader, to: socket)
  }

  /// However large its messages are.
  @Test func aDeviceThatTalksWithoutEndIsDifferent() throws {
    func little(_ value: UInt64, _ count: Int) -> [UInt8] {
      (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) }
    }
    func header(_ command: UInt64, count: Int, flags: UInt64) -> [UInt8] {
      little(1, 2) + little(command, 2) + little(UInt64(count), 4) + little(flags, 4) + little(0, 4)
    }
    // A reply to REGION_READ is waited for.
    let reply = header(9, count: 16, flags: 1)
    let records = [
      [1] + little(1, 4) + [1, 1, 0x61],
      [2] + little(1, 4) + little(0, 8) + [2, 0] + reply,
    ]
    let file =
      RecordingFormat.magic + little(1, 4) + little(0, 12)
      + records.flatMap { little(UInt64($0.count), 4) + $0 }
    var reader = try reader(file)
    let connection = try Replay.find(nil, in: &reader)
    let pair = try SocketPair()
    let far = try pair.far.duplicated()
    let number = far.rawValue
    let message = header(11, count: 1 << 20, flags: 0)
    let thread = try TestThread {
      for _ in 0..<100 {
        var rest = (message + [UInt8](repeating: 0, count: (1 << 20) - 16))[...]
        while !rest.isEmpty {
          guard let count = try? SocketIO.send(number, rest) else { return }
          rest = rest.dropFirst(count)
          var list = PollList()
          _ = list.add(number, for: .writable)
          list.wait(timeout: 100)
        }
      }
    }
    let socket = try pair.near.duplicated()
    _ = consume pair

    let difference = #expect(throws: Replay.Difference.self) {
      try Replay.run(connection, from: &reader, to: socket.duplicated())
    }

    #expect(difference?.what == "32 other messages come first")
    _ = consume socket
    thread.join()
    withExtendedLifetime(far) {}
  }

  @Test(arguments: [Way.vfioUser, .mpqemu])
  func everyMessageIsThereInBothDirectionsWithItsTime(_ way: Way) throws {
    try record(way)

    let records = try records()
    guard case .connection(let connection) = try #require(records.first) else {
      Issue.record("\(records[0])")
      return
    }
    #expect(connection.name == "remote")
    #expect(connection.protocol.option == (way == .mpqemu ? "--mpqemu" : "--vfio-user"))
    let messages = records.compactMap { record -> RecordedMessage? in
      if case .message(let message) = record { message } else { nil }
    }
    #expect(records.count == messages.count + 2)
    #expect(messages.map(\.time) == messages.map(\.time).sorted())
    #expect(messages.contains { !$0.isFromDevice && $0.descriptors.map(\.kind) == [.file] })
    let answers = messages.filter(\.isFromDevice)
    #expect(answers.allSatisfy { connection.protocol.isReply($0.bytes) })
    #expect(answers.contains { $0.bytes.suffix(4) == [0x44, 0x33, 0x22, 0x11] || way == .mpqemu })
    guard case .end(let end) = try #require(records.last) else {
      Issue.record("no end")
      return
    }
    #expect(end.reason == .closed)
  }

  @Test(arguments: [Way.vfioUser, .mpqemu])
  func theSameDeviceAnswersTheSame(_ way: Way) throws {
    try record(way)
    #expect(try replay(way, CopyingDevice.model) > 20)
  }

  @Test func theFirstDifferenceIsNamed() throws {
    try record(.vfioUser)
    let model = PCIDeviceModel(CopyingDevice.model.profile) { host in
      Falsifier(try CopyingDevice.model.makeDevice(host))
    }

    let difference = #expect(throws: Replay.Difference.self) { try replay(.vfioUser, model) }

    // Offset, region, count, and then the byte of the register.
    #expect(difference?.name == "remote, reply to REGION_READ")
    #expect(difference?.what == "payload byte 16 is 0x45, recorded 0x44")
    #expect(difference?.message ?? 0 > 10)
  }

  @Test func aDeviceThatGoesAwayIsADifference() throws {
    try record(.vfioUser)
    let pair = try SocketPair()
    let near = KeptDescriptor(try pair.near.duplicated())
    _ = shutdown(pair.far.rawValue, Int32(SHUT_WR))

    let difference = #expect(throws: Replay.Difference.self) {
      try replay(to: OwnedFileDescriptor(duplicating: near.rawValue))
    }

    #expect(difference?.what == "the device has closed the connection")
  }

  @Test func whatAKilledRecorderHasWrittenIsRead() throws {
    try record(.vfioUser)
    let bytes = try folder.bytes(at: path)
    var reader = try reader(Array(bytes.dropLast(3)))
    var count = 0
    while try reader.next() != nil { count += 1 }
    #expect(count > 20)
    let isCutShort = reader.isCutShort
    #expect(isCutShort)
  }

  @Test(
    arguments: [
      ([], RecordingError.notARecording),
      (Array("apusmsgs".utf8), .notARecording),
      (head(version: 2), .version(2)),
      (head() + [0, 0, 0, 0], .badSize(0, at: 24)),
      (head() + [255, 255, 255, 255], .badSize(.max, at: 24)),
      (head() + [1, 0, 0, 0, 9], .badRecord(at: 24, "kind 9")),
      (head() + [2, 0, 0, 0, 1, 7], .badRecord(at: 24, "an end before its fields")),
      (head() + [7, 0, 0, 0, 1, 1, 0, 0, 0, 9, 0], .badRecord(at: 24, "protocol 9")),
      (
        head() + [7, 0, 0, 0, 1, 1, 0, 0, 0, 1, 4],
        .badRecord(at: 24, "a name of 4 bytes in 0")
      ),
      (
        head() + [15, 0, 0, 0, 2, 1, 0, 0, 0] + [UInt8](repeating: 0, count: 10),
        .badRecord(at: 24, "a message of connection 1, which is none")
      ),
      (
        head() + connection + [15, 0, 0, 0, 2, 1, 0, 0, 0] + [UInt8](repeating: 0, count: 10),
        .badRecord(at: 35, "0 bytes that are no message")
      ),
      (
        head() + connection + [31, 0, 0, 0, 2, 1, 0, 0, 0] + [UInt8](repeating: 0, count: 10)
          + [0, 0, 9, 0, 255, 255, 255, 127, 0, 0, 0, 0, 0, 0, 0, 0],
        .badRecord(at: 35, "16 bytes that are no message")
      ),
      (
        head() + connection + [14, 0, 0, 0, 3, 1, 0, 0, 0] + [UInt8](repeating: 0, count: 8) + [9],
        .badRecord(at: 35, "an end of kind 9")
      ),
    ] as [([UInt8], RecordingError)]
  )
  func whatIsNoRecordingIsRefused(bytes: [UInt8], error: RecordingError) throws {
    #expect(throws: error) {
      var reader = try reader(bytes)
      while try reader.next() != nil {}
    }
  }

  @Test func whereTheFileIsTooSlowAConnectionEndsAndHasNoHoles() throws {
    // A pipe that nobody reads for now.
    let pair = try SocketPair()
    let log = RecordedLog()
    let recorder = try MessageRecorder(pair.near.duplicated(), logger: log.makeLogger())
    let tap = try #require(recorder.makeTap("remote", .vfioUser))
    let message: [UInt8] = [0, 0, 9, 0, 0, 0, 1, 0] + [UInt8](repeating: 0, count: 0x10000 - 8)
    for _ in 0..<400 { tap.sent(message, []) }
    let near = KeptDescriptor(try pair.near.duplicated())
    let finisher = try TestThread {
      recorder.finish()
      _ = shutdown(near.rawValue, Int32(SHUT_WR))
    }
    var received: [UInt8] = []
    while let part = try FileIO.read(pair.far.rawValue, atMost: 1 << 20), !part.isEmpty {
      received += part
    }
    finisher.join()
    _ = try folder.file("recording", received)
    let records = try records()
    let count = records.count {
      if case .message = $0 { true } else { false }
    }
    #expect(count >= MessageRecorder.limit / 0x10000 - 1 && count < 400)
    #expect(
      records.contains {
        if case .end(let end) = $0 { end.reason == .tooFast } else { false }
      }
    )
    #expect(log.notices.contains { $0.contains("remote: messages come faster") })
  }
}

private func head(version: UInt8 = 1) -> [UInt8] {
  Array("apusmsgs".utf8) + [version, 0, 0, 0] + [UInt8](repeating: 0, count: 12)
}

// Number 1, vfio-user, without a name.
private let connection: [UInt8] = [7, 0, 0, 0, 1, 1, 0, 0, 0, 1, 0]

/// A device that says one more than there is.
private final class Falsifier: PCIDevice {
  private let device: any PCIDevice

  init(_ device: any PCIDevice) { self.device = device }

  func read(_ access: BusAccess) -> UInt64 { device.read(access) &+ 1 }
  func write(_ value: UInt64, _ access: BusAccess) { device.write(value, access) }
  func reset() { device.reset() }
  func save() -> [UInt8] { device.save() }
  func restore(_ state: [UInt8]) throws(DeviceStateError) { try device.restore(state) }
}
