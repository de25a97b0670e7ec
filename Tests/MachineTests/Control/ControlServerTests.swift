import Glibc
import HostOS
import Interrupts
import Logging
import TestSupport
import Testing

@testable import Machine

/// The control socket of a machine, with clients good and bad.
@Suite(.timeLimit(.minutes(5))) struct ControlServerTests {
  private let folder: TemporaryFolder
  private let path: String
  private let log = RecordedLog()
  /// What the job waits for.
  private let gate: EventFD

  init() throws {
    folder = try TemporaryFolder()
    path = folder.path(of: "control")
    gate = try EventFD()
  }

  private var report: ControlReport {
    var disk = ControlReport.Device(name: "disk0", kind: "disk a \"b\"")
    (disk.process, disk.isIsolated, disk.restarts, disk.sandbox) = (17, true, 2, "in force: all")
    disk.servedSince = 12_000_000_345
    var counters = InterruptCounters()
    counters.raised = 3
    return ControlReport(
      devices: [disk],
      lines: [.init(number: 5, routes: ["I/O APIC pin 5"], counters: counters)]
    )
  }

  @Test(arguments: [
    ("net", "tap=tap1", "tap=tap0,mac=02:00:00:00:00:05", "tap=tap1,mac=02:00:00:00:00:05"),
    (
      "net", "tap=tap1,mac=02:00:00:00:00:06", "tap=tap0,mac=02:00:00:00:00:05",
      "tap=tap1,mac=02:00:00:00:00:06"
    ),
    ("net", "tap=tap1", "tap=tap0", "tap=tap1"),
    ("disk", "a,readonly", "b,id=disk0", "a,readonly,id=disk0"),
    ("vsock", "cid=3,path=b", "cid=3,path=a", "cid=3,path=b"),
  ])
  func theGuestKnowsAReplacedDeviceAgain(
    _ kind: String,
    _ text: String,
    _ before: String,
    _ expected: String
  ) {
    #expect(MachineControl.option(of: kind, text, instead: before, "disk0") == expected)
  }

  private func serve(patience: UInt64 = 30_000_000_000) throws -> ControlServer {
    let (report, gate) = (report, gate)
    let handlers = ControlHandlers(
      inspect: { report },
      replace: { device, change in
        gate.wait()
        return change == .options("good") ? nil : "\(device): no good"
      },
      save: { path in
        gate.wait()
        return path == "/tmp/a b" ? nil : "\(path): no good"
      }
    )
    return try ControlServer(path, handlers, patience: patience, logger: log.makeLogger())
  }

  private func send(_ text: String) throws -> OwnedFileDescriptor {
    let socket = try UnixSocket.connect(to: path)
    try FileIO.writeAll(socket.rawValue, Array(text.utf8))
    return socket
  }

  private func answer(_ socket: borrowing OwnedFileDescriptor) throws -> String {
    var text: [UInt8] = []
    while true {
      guard isReadable(socket.rawValue, within: 30_000) else { return "nothing" }
      let bytes = try FileIO.read(socket.rawValue, atMost: 4096) ?? []
      if bytes.isEmpty { return String(decoding: text, as: UTF8.self) }
      text += bytes
    }
  }

  private func ask(_ text: String) throws -> String { try answer(send(text)) }

  @Test func theMachineIsToldOfAsText() throws {
    let server = try serve()
    #expect(
      try ask("inspect\n") == """
        ok
        devices:
          disk0 (disk a "b"): running, process 17, 2 restarts
            sandbox: in force: all
        interrupts:
          5: raised 3, delivered 0, coalesced 0, EOI 0, resampled 0, spurious 0

        """
    )
    withExtendedLifetime(server) {}
  }

  @Test func theMachineIsToldOfAsJSON() throws {
    let server = try serve()
    #expect(
      try ask("inspect --json\n")
        == "ok\n{\"devices\":[{\"name\":\"disk0\",\"kind\":\"disk a \\\"b\\\"\",\"state\":\"running\","
        + "\"reason\":null,\"process\":17,\"isolated\":true,\"restarts\":2,"
        + "\"servedSince\":12000000345,\"sandbox\":\"in force: all\"}],\"interrupts\":[{\"gsi\":5,"
        + "\"routes\":[\"I/O APIC pin 5\"],\"raised\":3,\"delivered\":0,\"coalesced\":0,"
        + "\"ended\":0,\"resampled\":0,\"spurious\":0}]}\n"
    )
    withExtendedLifetime(server) {}
  }

  @Test func theSocketIsItsUsersOnlyAndGoesWithTheServer() throws {
    var server: ControlServer? = try serve()
    var status = stat()
    #expect(lstat(path, &status) == 0)
    #expect(status.st_mode & 0o777 == 0o600)
    #expect(server != nil)
    server = nil
    #expect(lstat(path, &status) != 0)
  }

  @Test(arguments: ["", "inspect all", "replace disk0", "replace disk0 --by x", "quit", "save"])
  func whatIsNoRequestIsAnsweredWithWhatIs(line: String) throws {
    let server = try serve()
    #expect(try ask("\(line)\n").hasPrefix("error: \(line): not a request; say inspect, "))
    withExtendedLifetime(server) {}
  }

  @Test func oneThingIsDoneAtATimeWhileOthersAreAnswered() throws {
    let server = try serve()
    let first = try send("replace disk0 --options good\n")
    var second = ""
    #expect(
      try waitUntil {
        second = try ask("replace disk0 --options bad\n")
        return second.contains("another request is being done")
      }
    )
    #expect(try ask("inspect\n").hasPrefix("ok\n"))
    gate.signal()
    #expect(try answer(first) == "ok\n")
    #expect(try ask("replace disk0 --options bad\n") == "error: disk0: no good\n")
    withExtendedLifetime(server) {}
  }

  @Test func savingIsAnsweredWhenItIsDone() throws {
    let server = try serve()
    gate.signal()
    #expect(try ask("save /tmp/a b\n") == "ok\n")
    #expect(try ask("save /no\n") == "error: /no: no good\n")
    withExtendedLifetime(server) {}
  }

  /// A machine that was saved ends.
  @Test func whoAskedIsAnsweredThoughTheServerEnds() throws {
    var server: ControlServer? = try serve()
    let client = try send("save /tmp/a b\n")
    #expect(waitUntil { log.lines.contains { $0.contains("asked to save") } })
    gate.signal()
    #expect(server != nil)
    server = nil
    #expect(try answer(client) == "ok\n")
  }

  @Test func aRequestWithoutAnEndIsCutOff() throws {
    let server = try serve()
    let text = String(repeating: "x", count: ControlClient.requestLimit + 4096)
    #expect(try ask(text).hasPrefix("error: a request is one line"))
    withExtendedLifetime(server) {}
  }

  @Test func clientsThatSayNothingLeaveRoomForOthersInTime() throws {
    let server = try serve(patience: 500_000_000)
    let silent = try (0..<ControlServer.clientLimit).map { _ in KeptSocket(try send("insp")) }
    // One of them has to go, which takes so long and no longer.
    #expect(try ask("inspect\n").hasPrefix("ok\n"))
    #expect(silent.count == ControlServer.clientLimit)
    withExtendedLifetime(server) {}
  }

  @Test func clientsThatGoAwayAreForgotten() throws {
    let server = try serve()
    for _ in 0..<50 {
      _ = try? send("insp")
      _ = try? send("inspect --json\n")
    }
    // Others may still wait to be accepted.
    #expect(waitUntil { (try? ask("inspect\n"))?.hasPrefix("ok\n") == true })
    withExtendedLifetime(server) {}
  }

  @Test(arguments: [
    "inspect", "inspect --json", "replace disk0 --with /a path", "replace net1 --options a,b c",
    "save /a path",
  ])
  func aRequestIsTheLineThatItIsReadFrom(line: String) {
    #expect(ControlRequest(line)?.line == line)
  }

  private final class KeptSocket {
    let socket: OwnedFileDescriptor
    init(_ socket: consuming OwnedFileDescriptor) { self.socket = socket }
  }
}
