import Glibc
import HostOS
import TakenOverCalls
import Testing

/// A device's process that somebody else has taken over: each thing that it could try, and what ends it.
@Suite(
  .timeLimit(.minutes(5)),
  .enabled(if: taken_over_is_sanitized() == 0, "a sanitizer makes system calls of its own")
)
struct TakenOverTests {
  /// What is not met by the line that names the call.
  private static let others: Set<String> = [
    "clone3", "old_gate", "x32", "take_memory", "open_memory",
  ]
  private static let attempts = (0..<taken_over_count()).map {
    String(cString: taken_over_name($0))
  }

  @Test(arguments: attempts.filter { !others.contains($0) })
  func anAttemptEndsTheProcessAndIsNamed(attempt: String) throws {
    let ended = try TakenOver.run(.memory, attempt)

    #expect(ended.ending == .exited(SystemCallFilter.refusalCode), "\(ended)")
    #expect(ended.output.contains("apus: error: device: the sandbox refused the system call "))
    #expect(!ended.output.contains("unknown"))
    #expect(ended.output.split(separator: "\n").count == 1, "\(ended)")
  }

  @Test func aDiskMakesNoRingsOfItsOwn() throws {
    let ended = try TakenOver.run(.file, "ring")

    #expect(ended.ending == .exited(SystemCallFilter.refusalCode), "\(ended)")
    #expect(ended.output.contains("io_uring_setup"))
  }

  @Test(
    .enabled(if: Self.hasRings, "the host refuses io_uring, or has none that can be restricted"),
    arguments: [
      "ring_nothing", "ring_poll", "ring_send", "ring_accept", "ring_connect", "ring_open",
      "ring_files", "ring_stat", "ring_send_bytes", "ring_open2", "ring_control", "ring_rename",
      "ring_remove", "ring_message", "ring_attribute", "ring_socket", "ring_command", "ring_cut",
      "ring_read",
    ]
  )
  func theRingsOfADiskDoNothingThatDisksDoNotNeed(attempt: String) throws {
    let ended = try TakenOver.run(.file, attempt)

    #expect(ended.ending == .exited(1), "\(ended)")
    #expect(["failed with errno 13\n", "failed with errno 22\n"].contains(ended.output))
  }

  @Test func theCallIsNamedByItsNameAndNumber() throws {
    let ended = try TakenOver.run(.file, "execute")

    #expect(
      ended.output
        == "apus: error: device: the sandbox refused the system call execve (number 59); "
        + "the process ends\n"
    )
  }

  /// Landlock is what keeps the files from a client of servers, which sees them.
  @Test(
    .enabled(if: Self.hasLandlock, "this kernel has no Landlock"),
    arguments: ["open_proc", "open_home", "open_run", "open_temporary"]
  )
  func aClientOfServersReadsNoOtherFilesThanItNeeds(attempt: String) throws {
    let ended = try TakenOver.run(.client, attempt)

    #expect(ended.ending == .exited(1), "\(ended)")
    #expect(ended.output == "failed with errno \(EACCES)\n")
  }

  @Test(.enabled(if: Self.knowsPorts, "this kernel's Landlock knows no ports"))
  func aClientOfServersConnectsToItsServersPortOnly() throws {
    let ended = try TakenOver.run(.client, "inet_connect")

    #expect(ended.output == "failed with errno \(EACCES)\n")
  }

  @Test(arguments: ["open", "open_null", "inet_socket"])
  func aClientOfServersHasWhatItNeeds(attempt: String) throws {
    let ended = try TakenOver.run(.client, attempt)

    #expect(ended.ending == .exited(0), "\(ended)")
  }

  @Test func aClientOfServersHasNoUnixSockets() throws {
    let ended = try TakenOver.run(.client, "unix_socket")

    #expect(ended.output == "failed with errno \(EAFNOSUPPORT)\n")
  }

  @Test(arguments: ["linger", "datagrams", "machine_socket", "bpf"])
  func aClientOfServersEndsWhereNoneIsNeeded(attempt: String) throws {
    let ended = try TakenOver.run(.client, attempt)

    #expect(ended.ending == .exited(SystemCallFilter.refusalCode), "\(ended)")
  }

  @Test(
    .enabled(if: Self.hasNamespaces && Self.hasLandlock, "the host permits less here"),
    arguments: SandboxKind.allCases
  )
  func noLayerOfAnyKindIsRefusedByAHostThatHasAll(kind: SandboxKind) throws {
    let ended = try TakenOver.run(kind, "report")

    #expect(!ended.output.contains("refused"), "\(ended)")
    #expect(ended.output.contains("landlock: in force"))
  }

  @Test func threadsAreMadeTheWayThatAFilterCanSee() throws {
    let ended = try TakenOver.run(.memory, "clone3")

    #expect(ended.ending == .exited(1))
    #expect(ended.output == "failed with errno \(ENOSYS)\n")
  }

  @Test(arguments: ["take_memory", "open_memory"])
  func memoryOfItsOwnHasABound(attempt: String) throws {
    let report = try TakenOver.run(.memory, "report")
    let ended = try TakenOver.run(.memory, attempt)

    // A sanitizer takes more than that from the beginning.
    guard report.output.contains("1024 MiB of memory") else {
      #expect(report.output.contains("memory without a bound"))
      return
    }
    #expect(ended.ending == .exited(1), "\(ended)")
    #expect(ended.output == "failed with errno \(ENOMEM)\n")
  }

  @Test(arguments: ["old_gate", "x32"])
  func theGatesOfOtherArchitecturesKill(attempt: String) throws {
    let ended = try TakenOver.run(.memory, attempt)

    #expect(ended.ending == .signalled(SIGSYS), "\(ended)")
    #expect(ended.output.hasPrefix("apus: error: device: its process was ended by signal 31"))
  }

  /// Without the filter, the other layers stand by themselves.
  @Test(
    .enabled(if: Self.hasNamespaces, "the host permits no namespaces here"),
    arguments: [
      "open", "open_proc", "create", "make_folder", "rename", "link", "stat", "read_link",
      "inet_connect", "abstract_connect", "trace", "read_memory", "write_memory", "kill",
      "kill_all",
      "thread_kill", "open_process", "signal_process", "mount", "unmount", "pivot_root",
      "change_root",
      "set_user", "set_group", "host_name", "set_time", "raise_limit", "module", "kernel", "reboot",
    ]
  )
  func withoutTheFilterTheOtherLayersRefuse(attempt: String) throws {
    let ended = try TakenOver.run(.memory, attempt, unfiltered: true)

    #expect(ended.ending == .exited(1), "\(ended)")
  }

  private static var knowsPorts: Bool {
    let report = try? TakenOver.run(.client, "report")
    return report.map { $0.output.contains("TCP other than to port 10809") } ?? false
  }

  private static var hasRings: Bool {
    let report = try? TakenOver.run(.file, "report")
    return report.map { $0.output.contains("and 1 rings") } ?? false
  }

  private static var hasLandlock: Bool {
    let report = try? TakenOver.run(.memory, "report")
    return report.map { $0.output.contains("landlock: in force") } ?? false
  }

  /// Whether this host permits what the test above needs.
  private static var hasNamespaces: Bool {
    let report = try? TakenOver.run(.memory, "report")
    return report.map { !$0.output.contains("refused") } ?? false
  }
}
