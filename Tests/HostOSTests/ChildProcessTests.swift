import Glibc
import HostOS
import Testing

@Suite struct ChildProcessTests {
  @Test func reportsTheExitCode() throws {
    var child = try ChildProcess(
      "/bin/sh",
      ["sh", "-c", "exit 7"],
      environment: [],
      descriptors: [0, 1, 2]
    )
    #expect(child.wait() == .exited(7))
  }

  @Test func reportsTheSignalThatKilled() throws {
    var child = try ChildProcess(
      "/bin/sleep",
      ["sleep", "60"],
      environment: [],
      descriptors: [0, 1, 2]
    )
    child.signal(SIGTERM)
    #expect(child.wait() == .signalled(SIGTERM))
  }

  @Test func handsOverOnlyTheDescriptorsItWasGiven() throws {
    let pair = try SocketPair()
    var child = try ChildProcess(
      "/bin/sh",
      ["sh", "-c", "ls /proc/self/fd | tr '\\n' ' '"],
      environment: ["PATH=/bin:/usr/bin"],
      descriptors: [0, pair.far.rawValue, 2]
    )
    #expect(child.wait() == .exited(0))
    let listed = try FileIO.read(pair.near.rawValue, atMost: 100) ?? []
    // The fourth is the folder that `ls` itself opened.
    #expect(String(decoding: listed, as: UTF8.self) == "0 1 2 3 ")
  }

  @Test func namesAProgramThatIsNotThere() {
    let error = #expect(throws: SystemError.self) {
      _ = try ChildProcess("/no/such", ["such"], environment: [], descriptors: [])
    }
    #expect(error?.description == "execve /no/such: No such file or directory (errno 2)")
  }
}

@Suite struct ConsoleEscapeTests {
  @Test(arguments: [
    ("plain", "plain", []),
    ("\u{1}x", "", [ConsoleEscape.Request.quit]),
    ("a\u{1}hb", "ab", [.help]),
    ("\u{1}\u{1}x", "\u{1}x", []),
    ("\u{1}a", "\u{1}", []),
    ("\u{1}q", "\u{1}q", []),
  ])
  func splitsKeysFromRequests(typed: String, passed: String, requests: [ConsoleEscape.Request]) {
    var escape = ConsoleEscape()
    let result = escape.feed(typed.utf8)
    #expect(result.passed == Array(passed.utf8))
    #expect(result.requests == requests)
  }

  @Test func remembersThePrefixBetweenReads() {
    var escape = ConsoleEscape()
    #expect(escape.feed([1]).passed.isEmpty)
    #expect(escape.feed(Array("x".utf8)).requests == [.quit])
  }
}
