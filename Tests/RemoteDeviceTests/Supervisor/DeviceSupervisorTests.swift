import Glibc
import HostOS
import RemoteDevice
import TestSupport
import Testing

/// Processes of devices, with shells in place of devices.
@Suite(.timeLimit(.minutes(5))) struct DeviceSupervisorTests {
  private let log = RecordedLog()
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func program(_ script: String) -> DeviceProgram {
    DeviceProgram("/bin/sh", ["sh", "-c", script], environment: ["PATH=/usr/bin:/bin"])
  }

  private func supervise(_ script: String, _ policy: RestartPolicy = RestartPolicy()) throws
    -> DeviceSupervisor
  {
    try DeviceSupervisor("disk7", program(script), policy: policy, logger: log.makeLogger())
  }

  /// The id of the process that runs, other than `last`.
  private func process(of supervisor: DeviceSupervisor, other last: Int32 = 0) -> Int32? {
    var found: Int32?
    _ = waitUntil {
      if case .running(let id) = supervisor.phase, id != last { found = id }
      return found != nil
    }
    return found
  }

  private func connection(_ supervisor: DeviceSupervisor) throws -> OwnedFileDescriptor {
    var found: OwnedFileDescriptor?
    _ = try waitUntil {
      found = try supervisor.connect()
      return found.borrow { _ in true } ?? false
    }
    guard let found = found.take() else { throw Missing() }
    return found
  }

  private struct Missing: Error {}

  private func hasConnection(_ supervisor: DeviceSupervisor) throws -> Bool {
    let connection = try supervisor.connect()
    return connection.borrow { _ in true } ?? false
  }

  private func line(_ text: String) -> Bool {
    waitUntil { log.lines.contains { $0.contains(text) } }
  }

  @Test func aProcessHasItsConnectionAndNothingOfOurs() throws {
    let path = folder.path(of: "seen")
    let supervisor = try supervise("ls /proc/self/fd > \(path); echo hello >&3; cat <&3 >/dev/null")

    let socket = try connection(supervisor)

    #expect(isReadable(socket.rawValue, within: 30_000))
    var bytes = [UInt8](repeating: 0, count: 6)
    #expect(read(socket.rawValue, &bytes, 6) == 6)
    #expect(bytes == Array("hello\n".utf8))
    // 0 to 3, and the folder that is listed.
    #expect(String(decoding: try folder.bytes(at: path), as: UTF8.self) == "0\n1\n2\n3\n4\n")
    #expect(try !hasConnection(supervisor))
  }

  @Test func theNextProcessIsConnectedToAfterADeath() throws {
    let supervisor = try supervise("echo $$ >&3; exec sleep 100")
    let first = try #require(process(of: supervisor))
    _ = try connection(supervisor)
    supervisor.settle()

    kill(first, SIGKILL)

    let second = try #require(process(of: supervisor, other: first))
    #expect(kill(second, 0) == 0)
    #expect(line("disk7: its process \(first) was ended by SIGKILL; another is started"))
    let socket = try connection(supervisor)
    #expect(isReadable(socket.rawValue, within: 30_000))
  }

  @Test(arguments: [
    ("exit 3", "exited with code 3"), ("kill -SEGV $$", "was ended by SIGSEGV"),
    ("kill -SYS $$", "made a system call that it may not make"),
  ])
  func aDeathIsToldWithItsCause(script: String, cause: String) throws {
    let supervisor = try supervise(script)
    #expect(line(cause))
    withExtendedLifetime(supervisor) {}
  }

  @Test func whoDiesAllTheTimeHasFailed() throws {
    var policy = RestartPolicy()
    policy.limit = 4
    policy.firstPause = 1_000_000
    let supervisor = try supervise("exit 9", policy)

    #expect(waitUntil { supervisor.failure?.contains("exited with code 9") == true })

    #expect(log.lines.count { $0.contains("another is started") } == 3)
    #expect(line("4 processes died in a row"))
    #expect(try !hasConnection(supervisor))
    // Another program is another chance.
    supervisor.replace(with: program("exec sleep 100"))
    #expect(process(of: supervisor) != nil)
    #expect(supervisor.failure == nil)
  }

  @Test func whoIsReplacedIsAskedToEndFirst() throws {
    let path = folder.path(of: "ended")
    let supervisor = try supervise(
      "trap 'echo ended > \(path); exit 0' TERM; echo >&3; while :; do sleep 0.01; done"
    )
    let first = try #require(process(of: supervisor))
    let socket = try connection(supervisor)
    // Then it has its trap.
    #expect(isReadable(socket.rawValue, within: 30_000))

    supervisor.replace(with: program("exec sleep 100"))

    #expect(process(of: supervisor, other: first) != nil)
    #expect(try folder.bytes(at: path) == Array("ended\n".utf8))
    #expect(!log.lines.contains { $0.contains("another is started") })
  }

  @Test func whoHangsIsKilledAndThatIsToldAsTheCause() throws {
    let supervisor = try supervise("trap '' TERM; while :; do sleep 1; done")
    let first = try #require(process(of: supervisor))
    let socket = try connection(supervisor)

    supervisor.reject("no reply to GET_CONFIG within 10 s")

    #expect(process(of: supervisor, other: first) != nil)
    #expect(line("its process \(first) was killed: no reply to GET_CONFIG within 10 s"))
    _ = consume socket
  }

  @Test func whoClosesItsConnectionAndGoesOnIsKilled() throws {
    let supervisor = try supervise("exec 3>&-; while :; do sleep 1; done")
    let first = try #require(process(of: supervisor))
    _ = try connection(supervisor)

    supervisor.abandon()

    #expect(process(of: supervisor, other: first) != nil)
    #expect(line("its process \(first) was killed: it closed its connection and went on"))
  }

  /// Its user sees the end of a connection when it comes to it: by then the next process may be there.
  @Test func whatIsSaidOfAProcessIsNotHeldAgainstTheNext() throws {
    let supervisor = try supervise("exec sleep 100")
    let first = try #require(process(of: supervisor))
    let socket = try connection(supervisor)
    kill(first, SIGKILL)
    let second = try #require(process(of: supervisor, other: first))

    supervisor.settle()
    supervisor.abandon()
    supervisor.reject("no reply to what the first was asked")

    #expect(supervisor.servedSince == nil)
    // Longer than who closes its connection may take to end.
    #expect(!waitUntil(seconds: 2) { supervisor.phase != .running(second) })
    #expect(supervisor.restartCount == 1)
    #expect(!log.lines.contains { $0.contains("was killed") })
    _ = consume socket
  }

  @Test func whoLeavesItsConnectionToAnotherProcessTakesThatWithIt() throws {
    let path = folder.path(of: "left")
    let supervisor = try supervise(
      "sleep 100 & echo $! > \(path).new; mv \(path).new \(path); wait"
    )
    let first = try #require(process(of: supervisor))
    var left: Int32 = 0
    let isThere = waitUntil {
      let text = (try? folder.bytes(at: path)).map { String(decoding: $0, as: UTF8.self) }
      left = text.flatMap { Int32($0.dropLast()) } ?? 0
      return left != 0
    }
    try #require(isThere)

    kill(first, SIGKILL)

    #expect(process(of: supervisor, other: first) != nil)
    // A zombie at most, whom nobody here has to reap.
    let state = shell("cut -d ' ' -f 3 /proc/\(left)/stat 2>/dev/null").output
    #expect(state.isEmpty || state == "Z" || state == "X", "\(state)")
  }

  @Test func theProcessEndsWithItsSupervisor() throws {
    let id = try {
      let supervisor = try supervise("trap '' TERM; while :; do sleep 0.1; done")
      return try #require(process(of: supervisor))
    }()
    #expect(kill(id, 0) == -1)
    #expect(errno == ESRCH)
  }

  @Test func whatCannotBeStartedHasFailedInTheEnd() throws {
    var policy = RestartPolicy()
    policy.limit = 2
    let supervisor = try DeviceSupervisor(
      "disk7",
      DeviceProgram("/no/such", ["such"]),
      policy: policy,
      logger: log.makeLogger()
    )
    #expect(waitUntil { supervisor.failure?.contains("cannot be started") == true })
    #expect(line("/no/such"))
  }

  @Test func aSignalReachesTheProcess() throws {
    let supervisor = try supervise("trap 'echo >&3' USR2; echo >&3; while :; do sleep 0.01; done")
    let socket = try connection(supervisor)
    var byte: UInt8 = 0
    #expect(isReadable(socket.rawValue, within: 30_000))
    #expect(read(socket.rawValue, &byte, 1) == 1)

    supervisor.signal(SIGUSR2)

    #expect(isReadable(socket.rawValue, within: 30_000))
  }

  @Test func whatTheProcessSaysIsLoggedWithTheDevicesName() throws {
    let supervisor = try supervise(
      """
      echo 'apus: error: apus: the guest is fine' >&2
      printf '\\033[2Jred\\r\\tpaint\\342\\200\\256\\n' >&2
      head -c 600 /dev/zero | tr '\\0' x >&2
      echo >&2
      exec sleep 100
      """
    )
    #expect(line("disk7: apus: the guest is fine"))
    #expect(line("disk7: [2Jred paint"))
    #expect(line("disk7: \(String(repeating: "x", count: 500))…"))
    #expect(!log.lines.contains { $0.contains("\u{1B}") || $0.contains("\u{202E}") })
    #expect(process(of: supervisor) != nil)
  }

  @Test func aProcessThatSaysTooMuchIsCutShort() throws {
    let supervisor = try supervise("yes >&2 & sleep 2; exit 1")
    #expect(waitUntil { log.lines.filter { $0.hasSuffix("disk7: y") }.count >= 50 })
    #expect(line("more lines of its process are left out"))
    #expect(log.lines.count < 200)
    #expect(supervisor.failure == nil)
  }

  @Test func whatAProcessSaysLastIsHeardAfterItsEnd() throws {
    let supervisor = try supervise("echo 'it is over' >&2; exit 3")
    #expect(line("disk7: it is over"))
    #expect(line("exited with code 3"))
    #expect(supervisor.failure == nil)
  }
}
