import Glibc
import HostOS
import Testing

/// What the kinds of device are shut in by, as a description.
@Suite struct SandboxPlanTests {
  // No device of any kind needs these, however far its walls were moved.
  private static let forbidden: Set<String> = [
    "execve", "execveat", "fork", "vfork", "ptrace", "process_vm_readv", "process_vm_writev",
    "kill",
    "tkill", "tgkill", "pidfd_open", "pidfd_getfd", "mount", "umount2", "pivot_root", "chroot",
    "unshare", "setns", "setuid", "setresuid", "setgroups", "capset", "bpf", "perf_event_open",
    "userfaultfd", "keyctl", "add_key", "seccomp", "listen", "accept", "accept4",
    "open_by_handle_at",
    "init_module", "kexec_load", "reboot", "unlink", "unlinkat", "rename", "mkdir", "prlimit64",
    "setrlimit", "pkey_mprotect", "open", "io_uring_setup",
  ]

  @Test(arguments: SandboxKind.allCases)
  func noKindMayMakeACallThatIsOfNoUseToADevice(kind: SandboxKind) throws {
    let plan = SandboxPlan(kind, device: "device")

    let names = Set(try #require(plan.systemCalls).map(\.name))

    #expect(names.isDisjoint(with: Self.forbidden), "\(names.intersection(Self.forbidden))")
  }

  @Test(arguments: SandboxKind.allCases)
  func everyCallHasANameThatTheLibraryKnows(kind: SandboxKind) throws {
    let plan = SandboxPlan(kind, device: "device")

    _ = try SystemCallFilter(try #require(plan.systemCalls))
  }

  @Test func aCallThatNobodyKnowsIsNamed() {
    let error = #expect(throws: SystemError.self) {
      _ = try SystemCallFilter([.allow("make_coffee")])
    }
    #expect(error == SystemError(call: "seccomp_rule_add", code: ENOENT, subject: "make_coffee"))
  }

  @Test(arguments: [SandboxKind.memory, .network, .file])
  func onlyClientsOfServersSeeFilesAndTheNetwork(kind: SandboxKind) {
    let plan = SandboxPlan(kind, device: "device")

    #expect(plan.namespaces == .all)
    #expect(plan.hasEmptyRoot)
    #expect(plan.landlock == LandlockRules())
    #expect(plan.reasons.isEmpty)
  }

  @Test func whatAClientOfServersDoesWithoutHasAReason() {
    let plan = SandboxPlan(.client, device: "device")

    #expect(!plan.namespaces.contains(.network))
    #expect(plan.namespaces.isSuperset(of: [.users, .mounts, .processes, .messages, .hostName]))
    #expect(Set(plan.reasons.keys) == [.network, .root])
  }

  @Test func aReportNamesWhatTheHostRefuses() {
    var report = SandboxReport()
    report[.users] = .refused("clone: Operation not permitted (errno 1)")
    report[.landlock] = .inForce("generation 3: files")
    report[.network] = .notWanted("servers")

    #expect(report.refused == [.users])
    #expect(
      report.lines == [
        "user namespace: refused by the host: clone: Operation not permitted (errno 1)",
        "network namespace: not wanted: servers",
        "landlock: in force: generation 3: files",
      ]
    )
    #expect(
      report.summary == "in force: landlock; user namespace refused by the host: "
        + "clone: Operation not permitted (errno 1); network namespace not wanted: servers"
    )
  }
}
