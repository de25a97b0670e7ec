import Glibc
import HostOS
import Testing
import TestSupport

/// Serial port and virtio console, on files, sockets and standard input and output.
@Suite(.serialized, .needsDebian) struct StreamTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  @Test func theConsoleTakesTheTerminalAndTheSerialPortAFile() async throws {
    let log = folder.path(of: "serial.log")
    let boot = GuestBoot(
      tasks: "apus.test=console",
      options: ["--serial", "file:\(log)", "--console", "stdio"]
    )

    let ended = try await Program.drive(try boot.arguments(), input: .pipe) { program in
      try program.expect("apus-console-ready")
      try program.type("hello\n")
      try program.expect("APUS-ECHO: hello")
      try program.type("quit\n")
      return try program.finish()
    }

    #expect(ended.code == 0, "\(ended)")
    let serial = String(decoding: try folder.bytes(at: log), as: UTF8.self)
    #expect(serial.contains("APUS-TEST: ok console\r\n"), "\(serial)")
  }

  @Test func theConsoleIsASocket() async throws {
    let path = folder.path(of: "console")
    let boot = GuestBoot(tasks: "apus.test=console", options: ["--console", "unix:\(path)"])

    let (heard, ended) = try await Program.drive(try boot.arguments()) { program in
      try program.expect("ok console-open")
      let client = try Client(path)
      try client.send("over a socket\n")
      let heard = try client.receive(until: "APUS-ECHO: over a socket", from: program)
      try client.send("quit\n")
      return (heard, try program.finish())
    }

    #expect(heard.contains("APUS-ECHO: over a socket"))
    #expect(ended.code == 0, "\(ended)")
    #expect(Files.names(in: folder.path) == [], "the socket is gone")
  }

  @Test func theSerialPortIsASocketAndTheConsoleAFile() async throws {
    let path = folder.path(of: "serial")
    let log = folder.path(of: "console.log")
    let boot = GuestBoot(
      tasks: "apus.test=console",
      options: ["--serial", "unix:\(path)", "--console", "file:\(log)"]
    )

    let (heard, ended) = try await Program.drive(try boot.arguments()) { program in
      try program.wait(for: "socket") { access(path, F_OK) == 0 }
      let client = try Client(path)
      let heard = try client.receive(until: "ok console-open", from: program)
      try program.wait(for: "greeting") { Files.text(log)?.contains("ready") == true }
      program.signal(SIGTERM)
      return (heard, try program.finish(within: 60))
    }

    #expect(heard.contains("apus-init-reached"))
    #expect(ended.code == 0, "\(ended)")
    #expect(ended.output == "")
    #expect(Files.names(in: folder.path) == ["console.log"], "the socket is gone")
  }
}
