import Glibc
import Testing
import TestSupport

/// Debian's kernel and the ports of a virtio console.
@Suite(.serialized, .needsDebian, .needsEmulatedHost) struct PortTests {
  @Test(arguments: [
    ["--console", "file:/run/console"], ["--no-packed-rings", "--transport", "mmio"],
  ])
  func programsOfTheHostReachTheGuestByName(options: [String]) async throws {
    let boot = GuestBoot(
      tasks: "apus.test=ports,quiet",
      options: options + [
        "--port", "test.echo=unix:/run/p", "--port", "test.log=file:/run/log",
      ],
      accelerator: "kvm"
    )

    let ended = try await HostCommand.run(
      [
        "relay=$1; shift; busybox head -c 300000 /dev/urandom >/run/sent",
        // The second client stays until it has all; the third ends the guest's wait.
        "(until $relay unix /run/p </run/sent >/dev/null 2>/run/error; do sleep 0.2; done",
        "busybox mkfifo /run/hold; exec 3<>/run/hold; $relay unix /run/p <&3 >/run/back & second=$!",
        "until busybox cmp -s /run/sent /run/back; do sleep 0.2; done; kill $second",
        ": >/run/echoed; until echo end | $relay unix /run/p >/dev/null; do sleep 0.2; done) &",
        // What is printed while the guest writes may be in the middle of a line of its.
        "\"$@\"; code=$?; if [ -e /run/echoed ]; then echo HOST-ECHO; fi",
        "busybox seq 20000 | busybox cmp - /run/log && echo HOST-LOG; exit $code",
      ].joined(separator: "; ").replacing(" &; ", with: " & "),
      [Given.path("APUS_TEST_RELAY"), Given.binary()] + boot.arguments(),
      within: 240
    )

    #expect(ended.code == 0, "\(ended)")
    #expect(ended.failures == [], "\(ended)")
    #expect(ended.reports.contains("ok ports-echo 300000"), "\(ended)")
    #expect(ended.lines.contains("HOST-ECHO") && ended.lines.contains("HOST-LOG"), "\(ended)")
  }
}

/// The same in an emulated host, which passes on sockets and files.
@Suite(.serialized, .needsDebian) struct EmulatedPortTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  @Test func portsAndSerialPortAreSocketsOfTheirOwn() async throws {
    let path = folder.path(of: "port")
    let serialPath = folder.path(of: "serial")
    let log = folder.path(of: "log")
    let boot = GuestBoot(
      tasks: "apus.test=ports",
      options: [
        "--serial", "unix:\(serialPath)", "--port", "test.echo=unix:\(path)",
        "--port", "test.log=file:\(log)",
      ]
    )

    let (back, ended) = try await Program.drive(try boot.arguments()) { program in
      try program.wait(for: "socket") { access(path, F_OK) == 0 }
      let serial = try Client(serialPath)
      _ = try serial.receive(until: "ok ports-open", from: program)
      try Client(path).send("over a port\n")
      _ = try serial.receive(until: "ok ports-read 12", from: program)
      let second = try Client(path)
      let back = try second.receive(until: "over a port", from: program)
      second.close()
      let third = try Client(path)
      try third.send("end")
      third.close()
      return (back, try program.finish())
    }

    #expect(back == "over a port\n")
    #expect(ended.code == 0, "\(ended)")
    let numbers = (1...20000).map { "\($0)\n" }.joined()
    #expect(String(decoding: try folder.bytes(at: log), as: UTF8.self) == numbers)
    #expect(Files.names(in: folder.path) == ["log"], "the sockets are gone")
  }
}
