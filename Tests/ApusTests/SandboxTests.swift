import Glibc
import HostOS
import TestSupport
import Testing

/// The sandbox of `apus serve`, as whoever starts it sees it.
@Suite(.needsBinary, .timeLimit(.minutes(10))) struct SandboxTests {
  private static let layers = SandboxLayer.allCases.map(\.rawValue)
  // No namespaces, and no capability to make any.
  private static let refusing = """
    unshare -U --map-root-user sh -c 'echo 0 >/proc/sys/user/max_user_namespaces && exec setpriv \
    --bounding-set=-all --inh-caps=-all -- "$@"' sh
    """
  private static let asNobody = "setpriv --reuid=65534 --regid=65534 --clear-groups --"

  private let folder: TemporaryFolder
  private let disk: String
  private let socket: String

  init() throws {
    folder = try TemporaryFolder()
    disk = try folder.file("disk", [UInt8](repeating: 7, count: 1 << 20))
    socket = folder.path(of: "socket")
  }

  /// Starts a program as another would, with `prefix` before its command line.
  private func drive<Result: Sendable>(
    _ prefix: String,
    _ arguments: [String],
    _ body: @escaping @Sendable (RunningProgram) throws -> Result
  ) async throws -> Result {
    let binary = try Given.binary()
    return try await Program.onThread {
      try body(
        RunningProgram("/bin/sh", ["-c", "exec \(prefix) \"$@\"", "sh", binary] + arguments)
      )
    }
  }

  @Test(arguments: ["entropy", "disk", "console", "vsock"])
  func aDryRunPrintsEveryLayerAndLeavesNothingBehind(kind: String) async throws {
    let device = [
      "entropy": [], "disk": [disk], "console": ["unix:\(folder.path(of: "console"))"],
      "vsock": ["cid=3,path=\(folder.path(of: "v"))"],
    ]
    let before = Files.names(in: folder.path)

    let ended = try await Program.run(
      ["serve", kind] + (device[kind] ?? []) + ["--vhost-user", socket, "--dry-run"],
      boots: false,
      within: 30
    )

    #expect(ended.code == 0, "\(ended)")
    #expect(ended.lines.map { String($0.prefix { $0 != ":" }) } == Self.layers)
    #expect(ended.complaints == [])
    #expect(Files.names(in: folder.path) == before)
  }

  @Test(arguments: ["on", "off"])
  func aDiskIsServed(mode: String) async throws {
    let socket = socket
    _ = try await Program.drive(
      ["serve", "disk", disk, "--vhost-user", socket, "--sandbox", mode],
      boots: false
    ) { program in
      try program.expect("serving", within: 30)
      let guest = try DiskFrontEnd(socket)
      #expect(try guest.request(0, sector: 5) == (0, 7))
      #expect(Processes.children(of: program.id).count == (mode == "on" ? 1 : 0))
    }
  }

  @Test(.enabled(if: Given.canRefuseNamespaces, "namespaces cannot be refused here"))
  func whatTheHostRefusesIsLoggedAndTheDiskServed() async throws {
    let (disk, socket) = (disk, socket)
    try await drive(
      Self.refusing,
      ["serve", "disk", disk, "--vhost-user", socket, "--log-level", "notice"]
    ) { program in
      try program.expect("serving", within: 30)
      let guest = try DiskFrontEnd(socket)
      #expect(try guest.request(0, sector: 5) == (0, 7))
      #expect(program.standardError.contains("notice: sandbox: disk: in force: descriptors, "))
      #expect(program.standardError.contains("user namespace refused by the host: clone: "))
      #expect(program.standardError.contains("empty root refused by the host: "))
      program.signal(SIGTERM)
      #expect(try program.finish(within: 30).code == 0)
    }
    #expect(access(socket, F_OK) != 0)
  }

  @Test(.enabled(if: Given.canRefuseNamespaces, "namespaces cannot be refused here"))
  func whoWantsAllOfItIsToldWhatTheHostRefuses() async throws {
    let ended = try await drive(
      Self.refusing,
      ["serve", "disk", disk, "--vhost-user", socket, "--sandbox", "strict"]
    ) { try $0.finish(within: 30) }

    #expect(ended.code == 2, "\(ended)")
    #expect(ended.complaints.count == 1, "\(ended)")
    #expect(ended.errors.contains("--sandbox strict: user namespace: refused by the host: clone: "))
    #expect(access(socket, F_OK) != 0)
  }

  @Test(.enabled(if: Given.canBeNobody, "only root can start a program as nobody"))
  func nobodyServesADisk() async throws {
    let (disk, socket) = (disk, socket)
    #expect(chmod(folder.path, 0o777) == 0 && chmod(disk, 0o666) == 0)
    try await drive(Self.asNobody, ["serve", "disk", disk, "--vhost-user", socket]) { program in
      try program.expect("serving", within: 30)
      let guest = try DiskFrontEnd(socket)
      #expect(try guest.request(0, sector: 5) == (0, 7))
      program.signal(SIGTERM)
      #expect(try program.finish(within: 30).code == 0)
    }
    #expect(access(socket, F_OK) != 0)
  }

  @Test func theDeviceDiesWithItsMonitorAndAnotherTakesItsPlace() async throws {
    let (disk, socket) = (disk, socket)
    let arguments = ["serve", "disk", disk, "--vhost-user", socket]
    _ = try await Program.drive(arguments, boots: false) { program in
      try program.expect("serving", within: 30)
      let device = try #require(Processes.children(of: program.id).first)
      program.signal(SIGKILL)
      #expect(try program.finish(within: 30).ending == .signalled(SIGKILL))
      // Nobody is there from that moment on, not even somebody who is about to die.
      #expect(throws: (any Error).self) { try UnixConnection.make(socket) }
      #expect(waitUntil { !Processes.isRunning(device) })
    }
    _ = try await Program.drive(arguments, boots: false) { program in
      try program.expect("serving", within: 30)
      #expect(try DiskFrontEnd(socket).request(0, sector: 5) == (0, 7))
    }
  }

  @Test func aDeviceThatIsKilledIsReportedAndItsSocketRemoved() async throws {
    let (disk, socket) = (disk, socket)
    let ended = try await Program.drive(
      ["serve", "disk", disk, "--vhost-user", socket],
      boots: false
    ) { program in
      try program.expect("serving", within: 30)
      let device = try #require(Processes.children(of: program.id).first)
      #expect(kill(device, SIGKILL) == 0)
      return try program.finish(within: 30)
    }

    #expect(ended.ending == .signalled(SIGKILL))
    #expect(ended.errors.contains("apus: error: disk: its process was ended by signal 9 (Killed)"))
    #expect(access(socket, F_OK) != 0)
  }

  @Test func theDeviceHasNothingOfWhatItWasStartedWith() async throws {
    let (disk, socket) = (disk, socket)
    try await drive("", ["serve", "disk", disk, "--vhost-user", socket]) { program in
      try program.expect("serving", within: 30)
      let device = try #require(Processes.children(of: program.id).first)
      let folder = "/proc/\(device)"
      let numbers = Files.names(in: "\(folder)/fd")
      let targets = numbers.compactMap { number -> String? in
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = readlink("\(folder)/fd/\(number)", &bytes, bytes.count)
        return count < 0 ? nil : String(decoding: bytes[0..<count], as: UTF8.self)
      }
      #expect(!targets.isEmpty)
      let strangers = targets.filter { target in
        !["anon_inode:", "socket:", "pipe:"].contains { target.hasPrefix($0) }
          && !target.hasSuffix("/null")
          && !target.hasPrefix(disk)
      }
      #expect(strangers == [])
    }
  }
}

extension Given {
  /// Whether a program can be started where namespaces are refused to it.
  fileprivate static var canRefuseNamespaces: Bool {
    shell(
      "unshare -U --map-root-user sh -c 'echo 0 >/proc/sys/user/max_user_namespaces && exec setpriv "
        + "--bounding-set=-all --inh-caps=-all -- true' 2>/dev/null"
    ).code == 0
  }

  /// Whether a program can be started as nobody, who can run the release build.
  fileprivate static var canBeNobody: Bool {
    guard let binary = variable("APUS_TEST_BINARY") else { return false }
    return shell(
      "setpriv --reuid=65534 --regid=65534 --clear-groups -- '\(binary)' --version 2>/dev/null"
    ).code == 0
  }
}
