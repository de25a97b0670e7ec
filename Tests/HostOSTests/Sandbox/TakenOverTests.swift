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
  private static let others: Set<String> = ["clone3", "old_gate", "x32"]
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

  @Test func theCallIsNamedByItsNameAndNumber() throws {
    let ended = try TakenOver.run(.file, "execute")

    #expect(
      ended.output
        == "apus: error: device: the sandbox refused the system call execve (number 59); "
        + "the process ends\n"
    )
  }

  @Test func threadsAreMadeTheWayThatAFilterCanSee() throws {
    let ended = try TakenOver.run(.memory, "clone3")

    #expect(ended.ending == .exited(1))
    #expect(ended.output == "failed with errno \(ENOSYS)\n")
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

  /// Whether this host permits what the test above needs.
  private static var hasNamespaces: Bool {
    let report = try? TakenOver.run(.memory, "report")
    return report.map { !$0.output.contains("refused") } ?? false
  }
}
